//! What include/locker.hpp declares in its namespace.

use crate::Names;
use crate::lexer::tokens;

/// Types, functions and constants, those of a type as `type::name`; neither private ones nor those of `detail`, and not
/// what comes with a type: constructors, destructors and assignments.
pub(crate) fn public(header: &str) -> Names {
    let tokens = tokens(header);
    let mut reader = Reader { tokens: &tokens, at: 0, found: Names::new() };
    while let Some(at) = reader.tokens[reader.at..].windows(3).position(|three| three == ["namespace", "locker", "{"]) {
        reader.at += at + 3;
        reader.scope("", true);
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    found: Names,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).expect("the header goes on").clone()
    }

    /// What stands in the braces of a namespace or a type, and those that close it.
    fn scope(&mut self, owner: &str, public_at_first: bool) {
        let mut public = public_at_first;
        loop {
            match (self.peek(0), self.peek(1)) {
                ("}", _) => break self.at += 1,
                ("public" | "private" | "protected", ":") => {
                    public = self.next() == "public";
                    self.at += 1;
                }
                ("template", "<") => {
                    self.at += 1;
                    self.skip("<", ">");
                }
                ("[", _) => self.skip("[", "]"),
                ("namespace", _) => {
                    self.at += 2;
                    self.skip("{", "}");
                }
                ("using" | "friend" | "static_assert", _) => self.statement(owner, public),
                ("enum", "class") => self.enumeration(public),
                ("class" | "struct", _) => self.class(public),
                _ => self.declaration(owner, public),
            }
        }
    }

    /// One whose last word before `=` or its end is the name, if it gives one.
    fn statement(&mut self, owner: &str, public: bool) {
        let gives_name = self.peek(0) == "using";
        while !matches!(self.peek(1), ";" | "=") {
            self.at += 1;
        }
        let name = self.next();
        self.find(owner, &name, public && gives_name);
        while self.next() != ";" {}
    }

    fn enumeration(&mut self, public: bool) {
        self.at += 2;
        let name = self.next();
        self.find("", &name, public);
        while self.next() != "{" {}
        loop {
            let constant = self.next();
            self.find(&name, &constant, public);
            while !matches!(self.peek(0), "," | "}") {
                self.at += 1;
            }
            if self.next() == "}" || self.peek(0) == "}" {
                break;
            }
        }
        while self.next() != ";" {}
    }

    fn class(&mut self, public: bool) {
        let public_at_first = self.next() == "struct";
        let name = self.next();
        if self.peek(0) == ";" {
            return self.at += 1;
        }
        self.find("", &name, public);
        while self.next() != "{" {}
        match public {
            true => self.scope(&name, public_at_first),
            false => {
                self.at -= 1;
                self.skip("{", "}");
            }
        }
        while self.next() != ";" {}
    }

    /// A function with or without its body, or variables.
    fn declaration(&mut self, owner: &str, public: bool) {
        let mut name = String::new();
        loop {
            match (self.peek(0), self.peek(1)) {
                ("operator", _) => {
                    name = self.next();
                    while self.peek(0) != "(" || self.peek(1) == ")" && self.peek(2) == "(" {
                        name += &format!(" {}", self.next());
                    }
                    break self.function(owner, &name, public);
                }
                ("<", _) => self.skip("<", ">"),
                ("(", _) => break self.function(owner, &name, public),
                ("{", _) => self.skip("{", "}"),
                ("=", _) => {
                    while !matches!(self.peek(0), ";" | ",") {
                        self.at += 1;
                    }
                }
                ("~", _) => name = self.next() + &self.next(),
                (",", _) => {
                    self.at += 1;
                    self.find(owner, &name, public);
                }
                (";", _) => {
                    self.at += 1;
                    break self.find(owner, &name, public);
                }
                _ => name = self.next(),
            }
        }
    }

    /// From its parameters on.
    fn function(&mut self, owner: &str, name: &str, public: bool) {
        let is_named = name != owner && name != "operator =" && !name.starts_with('~');
        self.find(owner, name, public && is_named);
        self.skip("(", ")");
        let mut initializes = false;
        loop {
            match self.peek(0) {
                ";" => break self.at += 1,
                "(" => self.skip("(", ")"),
                ":" => {
                    initializes = true;
                    self.at += 1;
                }
                // An initializer, not the body: a name is before it.
                "{" if initializes && !matches!(self.tokens[self.at - 1].as_str(), ")" | "}") => self.skip("{", "}"),
                "{" => break self.skip("{", "}"),
                _ => self.at += 1,
            }
        }
    }

    /// Past what stands between the bracket here and the one that closes it.
    fn skip(&mut self, open: &str, close: &str) {
        let mut depth = 0;
        loop {
            let token = self.next();
            depth += i32::from(token == open) - i32::from(token == close);
            if depth == 0 {
                return;
            }
        }
    }

    fn find(&mut self, owner: &str, name: &str, public: bool) {
        if public && !name.is_empty() {
            self.found.insert(if owner.is_empty() { name.into() } else { format!("{owner}::{name}") });
        }
    }
}

#[test]
fn what_is_private_is_left_out() {
    let header = "struct outside {}; namespace locker {
        using std::a; using b = std::vector<int>;
        enum class c : std::int32_t { d = LOCKER_D, e, };
        inline const d &f(int g = 1) noexcept { return h({1}); }
        namespace detail { int no; }
        struct i : std::j<k> { std::string l{}, m{}; std::function<void(n, o)> p{}; q r = q::s; bool t() const { return u; } };
        class v final {
        public:
          explicit v(int w) : x_(w), y_{w} { z(); }
          ~v() { no(); }
          v &operator=(v &&) noexcept = delete;
          template <class T> [[nodiscard]] std::optional<T> aa(T, const bb &cc = {}) const;
          explicit operator bool() const noexcept { return true; }
        private:
          struct no { int no; };
          friend class no;
          static void no() {}
          int x_ = 0;
        };
        } namespace locker { class v; inline int dd() { return 1; } }";
    let found = ["a", "b", "c", "c::d", "c::e", "dd", "f", "i", "i::l", "i::m", "i::p", "i::r", "i::t", "v", "v::aa"];
    assert_eq!(public(header), crate::names(found.into_iter().chain(["v::operator bool"]).map(String::from)));
}
