//! A YAML file of keys with plain values: its keys, and on which lines they are.

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::iter::Peekable;

/// A key and what it says.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    /// Null.
    None,
    /// As it is written, of whatever type YAML thinks that it is.
    One(String),
    Many(Vec<String>),
    /// Something deeper.
    Other,
}

/// What is wrong, and on which line.
#[derive(Debug, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// The entries of the one mapping that the text is, in order; none of a text that says nothing.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, Wrong> {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| wrong(error.marker().line(), error.info()))?;
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
            Event::Alias(_) => return Err(wrong(span.start.line(), "an alias; write the value itself")),
            event => events.push((event, span.start.line())),
        }
    }
    let mut events = events.into_iter().peekable();
    let entries = match (events.next(), events.next()) {
        (None, _) => Vec::new(),
        (_, Some((Event::Scalar(text, ScalarStyle::Plain, ..), _))) if is_null(&text) => Vec::new(),
        (_, Some((Event::MappingStart(..), _))) => entries(&mut events)?,
        (_, other) => return Err(wrong(other.map_or(1, |(_, line)| line), "not a list of keys and values")),
    };
    match events.next() {
        None => Ok(entries),
        Some((_, line)) => Err(wrong(line, "a second document")),
    }
}

type Events<'a> = Peekable<std::vec::IntoIter<(Event<'a>, usize)>>;

/// Up to the end of the mapping.
fn entries(events: &mut Events) -> Result<Vec<Entry>, Wrong> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let (key, line) = match events.next() {
            Some((Event::Scalar(key, ..), line)) => (key.into_owned(), line),
            Some((Event::MappingEnd, _)) | None => return Ok(entries),
            Some((_, line)) => return Err(wrong(line, "a key that is no text")),
        };
        if entries.iter().any(|entry| entry.key == key) {
            return Err(wrong(line, format!("{key} is there twice")));
        }
        let value = value(events);
        entries.push(Entry { key, line, value });
    }
}

fn value(events: &mut Events) -> Value {
    match events.next() {
        Some((Event::Scalar(text, ScalarStyle::Plain, ..), _)) if is_null(&text) => Value::None,
        Some((Event::Scalar(text, ..), _)) => Value::One(text.into_owned()),
        Some((Event::SequenceStart(..), _)) => list(events),
        _ => {
            skip(events);
            Value::Other
        }
    }
}

fn list(events: &mut Events) -> Value {
    let mut texts = Vec::new();
    while let Some((Event::Scalar(text, ..), _)) = events.next_if(|(event, _)| matches!(event, Event::Scalar(..))) {
        texts.push(text.into_owned());
    }
    match events.peek() {
        Some((Event::SequenceEnd, _)) => {
            events.next();
            Value::Many(texts)
        }
        _ => {
            skip(events);
            Value::Other
        }
    }
}

/// Goes on to the end of what has begun.
fn skip(events: &mut Events) {
    let mut depth = 1;
    while depth > 0 {
        match events.next() {
            Some((Event::SequenceStart(..) | Event::MappingStart(..), _)) => depth += 1,
            Some((Event::SequenceEnd | Event::MappingEnd, _)) => depth -= 1,
            Some(_) => {}
            None => return,
        }
    }
}

fn is_null(text: &str) -> bool {
    ["", "~", "null", "Null", "NULL"].contains(&text)
}

fn wrong(line: usize, what: impl Into<String>) -> Wrong {
    Wrong { line, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, line: usize, value: Value) -> Entry {
        Entry { key: key.into(), line, value }
    }

    fn one(text: &str) -> Value {
        Value::One(text.into())
    }

    #[test]
    fn values_are_what_was_written() {
        let text = "# ours\nttl: 010\nprefix: ''\nuser: # nobody\npassword: \"a\\tb\"\n\
                    endpoints:\n- http://a:1\n- b:2\nkey: ~\ncert: 'null'\n";
        let expected = [
            entry("ttl", 2, one("010")),
            entry("prefix", 3, one("")),
            entry("user", 4, Value::None),
            entry("password", 5, one("a\tb")),
            entry("endpoints", 6, Value::Many(vec!["http://a:1".into(), "b:2".into()])),
            entry("key", 9, Value::None),
            entry("cert", 10, one("null")),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_says_nothing() {
        for text in ["", "\n", "# only this\n", "---\n", "~", "{}"] {
            assert_eq!(read(text).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn what_is_deeper_is_passed_over() {
        let text = "a: {b: [1, {c: 2}], d: e}\nf: [g, [h], i]\nj: k\n";
        let expected = [entry("a", 1, Value::Other), entry("f", 2, Value::Other), entry("j", 3, one("k"))];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn slips_have_their_line() {
        for (text, line, what) in [
            ("ttl: 1\nttl: 2\n", 2, "ttl is there twice"),
            ("ttl: 1\n[a]: 2\n", 2, "a key that is no text"),
            ("- a\n", 1, "not a list of keys and values"),
            ("just words\n", 1, "not a list of keys and values"),
            ("ttl: 1\n---\nttl: 2\n", 2, "a second document"),
            ("a: &x 1\nb: *x\n", 2, "an alias"),
            ("ttl: 1\nuser: \"a\n", 2, ""),
            ("ttl: 1\nuser: ]\n", 2, ""),
        ] {
            let wrong = read(text).expect_err(text);
            assert!(wrong.line == line && wrong.what.starts_with(what), "{text:?}: {wrong:?}");
        }
    }
}
