//! What include/locker.h declares.

use crate::lexer::{defined, tokens};
use crate::{Names, names};
use std::collections::BTreeMap;

/// Functions, types, constants, and fields as `type.field`.
pub(crate) fn public(header: &str) -> Names {
    let tokens = tokens(header);
    let constants =
        numbers(header).into_keys().chain(defined(header).map(String::from)).filter(|name| name != "LOCKER_H");
    let called = tokens.windows(2).filter(|pair| pair[1] == "(").map(|pair| pair[0].clone());
    let callbacks = tokens.windows(3).filter(|three| three[0] == "*" && three[2] == ")").map(|three| three[1].clone());
    let functions = called.chain(callbacks).filter(|name| name.starts_with("locker_"));
    let bodies = tokens.iter().enumerate().filter(|(_, token)| *token == "struct" || *token == "enum");
    let types = bodies.filter_map(|(at, token)| body(&tokens[at + 1..]).map(|(name, body)| (token, name, body)));
    let types = types.flat_map(|(token, name, body)| {
        let fields = if token == "struct" { fields(body) } else { Vec::new() };
        let fields: Vec<_> = fields.iter().map(|field| format!("{name}.{field}")).collect();
        fields.into_iter().chain([name.clone()])
    });
    names(constants.chain(functions).chain(types))
}

/// The constants of the enumerations.
pub(crate) fn numbers(header: &str) -> BTreeMap<String, i32> {
    let tokens = tokens(header);
    let enums = tokens.iter().enumerate().filter(|(_, token)| *token == "enum");
    let bodies = enums.filter_map(|(at, _)| body(&tokens[at + 1..]));
    let constants = bodies.flat_map(|(_, body)| body.split(|token| token == ","));
    constants
        .filter_map(|one| match one {
            [name, sign, number] if sign == "=" => Some((name.clone(), number.parse().expect("a number"))),
            [] => None,
            other => panic!("{other:?} has no number"),
        })
        .collect()
}

/// The name of a type and what stands in its braces, if it is declared here and not only named.
fn body(tokens: &[String]) -> Option<(&String, &[String])> {
    let begin = tokens.iter().take(4).position(|token| token == "{")?;
    let end = tokens[begin..].iter().position(|token| token == "}")?;
    Some((&tokens[0], &tokens[begin + 1..begin + end]))
}

fn fields(body: &[String]) -> Vec<&String> {
    let declared = body.split(|token| token == ";").filter(|one| !one.is_empty());
    declared.map(|one| one.split(|token| token == "[").next().and_then(<[_]>::last).expect("a name")).collect()
}

#[test]
fn all_kinds_are_found() {
    let header = "#define LOCKER_MAX 1\nenum locker_a\n#if X\n : int32_t\n#endif\n { LOCKER_B = 0, LOCKER_C = 15, };
        typedef struct locker_d { const char *e; char f[2]; struct locker_d g; } locker_d;
        typedef void (*locker_fn)(void *h, struct locker_d i);
        const char *locker_j(int32_t k);";
    let found =
        ["LOCKER_B", "LOCKER_C", "LOCKER_MAX", "locker_a", "locker_d", "locker_d.e", "locker_d.f", "locker_d.g"];
    assert_eq!(public(header), names(found.into_iter().chain(["locker_fn", "locker_j"]).map(String::from)));
    assert_eq!(numbers(header)["LOCKER_C"], 15);
}
