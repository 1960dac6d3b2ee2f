//! The configuration file: `$LOCKER_CONFIG`, else /etc/locker/locker.yaml if it is there.

use crate::exit::{CONFIG, Failure};
use crate::output;
use crate::yaml::{self, Entry, Value};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Names the file; empty: none is read.
pub(crate) const VARIABLE: &str = "LOCKER_CONFIG";
const USUAL: &str = "/etc/locker/locker.yaml";
/// Named as the flags are.
const KEYS: [&str; 10] =
    ["endpoints", "prefix", "ttl", "command-timeout", "user", "password", "password-file", "cacert", "cert", "key"];

/// What the file says: nothing where there is none.
#[derive(Default)]
pub(crate) struct Config {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Config {
    /// Reads the file that there is. It says what of it is not understood.
    pub(crate) fn load() -> Result<Self, Failure> {
        let named = env::var_os(VARIABLE);
        let must_be_there = named.is_some();
        let path = PathBuf::from(named.unwrap_or_else(|| OsString::from(USUAL)));
        if path.as_os_str().is_empty() {
            return Ok(Config::default());
        }
        match fs::read_to_string(&path) {
            Ok(text) => Config::of(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be_there => Ok(Config::default()),
            Err(error) => Err(Failure::new(CONFIG, format!("{}: {error}", path.display()))),
        }
    }

    fn of(path: PathBuf, text: &str) -> Result<Self, Failure> {
        let entries = yaml::read(text)
            .map_err(|wrong| Failure::new(CONFIG, format!("{}:{}: {}", path.display(), wrong.line, wrong.what)))?;
        for entry in entries.iter().filter(|entry| !KEYS.contains(&&*entry.key)) {
            let known = KEYS.join(", ");
            output::say(format_args!(
                "{}:{}: {} is unknown, and left out; known are {known}",
                path.display(),
                entry.line,
                entry.key
            ));
        }
        Ok(Config { path, entries })
    }

    /// The file that was read, if one was.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        Some(&self.path).filter(|path| !path.as_os_str().is_empty())
    }

    /// What it says of this key. Only of endpoints it may be more than one.
    pub(crate) fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Value::None => Ok(None),
            Value::One(text) => Ok(Some(text.clone())),
            Value::Many(texts) if key == "endpoints" => Ok(Some(texts.join(","))),
            Value::Many(_) | Value::Other => Err(self.wrong(key, "must be one value")),
        }
    }

    /// That what it says of this key is wrong.
    pub(crate) fn wrong(&self, key: &str, why: &str) -> Failure {
        let line = self.entry(key).map_or(0, |entry| entry.line);
        Failure::new(CONFIG, format!("{}:{line}: {key}: {why}", self.path.display()))
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}
