//! What is said of one thing in several places: by a flag, else by a variable of ours, else by one of etcdctl's, else by
//! the configuration file.

use crate::config::Config;
use crate::duration;
use crate::exit::{Failure, USAGE};
use locker::{Error, ErrorKind};
use std::env;
use std::time::Duration;

/// One thing that can be said.
pub(crate) struct Setting {
    /// In the file.
    pub(crate) key: &'static str,
    /// The first one goes first. One that is empty counts as not set, unless that is a value.
    variables: &'static [&'static str],
    may_be_empty: bool,
    /// What the core calls it when it is wrong.
    pub(crate) argument: &'static str,
}

const fn setting(key: &'static str, variables: &'static [&'static str], argument: &'static str) -> Setting {
    Setting { key, variables, may_be_empty: false, argument }
}

pub(crate) static ENDPOINTS: Setting = setting("endpoints", &["LOCKER_ENDPOINTS", "ETCDCTL_ENDPOINTS"], "endpoint");
pub(crate) static PREFIX: Setting =
    Setting { key: "prefix", variables: &["LOCKER_PREFIX"], may_be_empty: true, argument: "prefix" };
pub(crate) static TTL: Setting = setting("ttl", &["LOCKER_TTL"], "ttl");
pub(crate) static TIMEOUT: Setting =
    setting("command-timeout", &["LOCKER_TIMEOUT", "ETCDCTL_COMMAND_TIMEOUT"], "timeout");
pub(crate) static USER: Setting = setting("user", &["LOCKER_USER", "ETCDCTL_USER"], "user");
pub(crate) static CACERT: Setting = setting("cacert", &["LOCKER_CACERT", "ETCDCTL_CACERT"], "ca_file");
pub(crate) static CERT: Setting = setting("cert", &["LOCKER_CERT", "ETCDCTL_CERT"], "cert_file");
// LOCKER_KEY is what `locker run` tells its command: the lock's key in etcd.
pub(crate) static KEY: Setting = setting("key", &["LOCKER_CERT_KEY", "ETCDCTL_KEY"], "key_file");

/// What the environment and the file say.
pub(crate) struct Settings {
    pub(crate) config: Config,
    /// What was taken from the file.
    from_file: Vec<&'static Setting>,
}

impl Settings {
    pub(crate) fn load() -> Result<Self, Failure> {
        Ok(Settings { config: Config::load()?, from_file: Vec::new() })
    }

    /// The flag, else what is said elsewhere.
    pub(crate) fn text(&mut self, flag: Option<&str>, setting: &'static Setting) -> Result<Option<String>, Failure> {
        match flag {
            Some(text) => Ok(Some(text.into())),
            None => Ok(self.said(setting)?.map(|(_, text)| text)),
        }
    }

    /// The same for a span of time.
    pub(crate) fn span(
        &mut self,
        flag: Option<Duration>,
        setting: &'static Setting,
    ) -> Result<Option<Duration>, Failure> {
        if flag.is_some() {
            return Ok(flag);
        }
        let Some((variable, text)) = self.said(setting)? else { return Ok(None) };
        duration::parse(&text).map(Some).map_err(|why| match variable {
            Some(name) => usage(format!("{name}={text}: {why}")),
            None => self.config.wrong(setting.key, &format!("{text}: {why}")),
        })
    }

    /// That the core refuses something: if the file said it, where.
    pub(crate) fn wrong(&self, error: Error) -> Failure {
        let text = error.to_string();
        let is_meant = |setting: &&&Setting| error.kind() == ErrorKind::Invalid && text.starts_with(setting.argument);
        match self.from_file.iter().find(is_meant) {
            Some(setting) => self.config.wrong(setting.key, &text),
            None => error.into(),
        }
    }

    /// By which variable, or by the file.
    fn said(&mut self, setting: &'static Setting) -> Result<Option<(Option<&'static str>, String)>, Failure> {
        let counts = |text: &String| setting.may_be_empty || !text.is_empty();
        if let Some((name, text)) = first(setting.variables, counts)? {
            return Ok(Some((Some(name), text)));
        }
        let text = self.config.get(setting.key)?.filter(counts);
        if text.is_some() {
            self.from_file.push(setting);
        }
        Ok(text.map(|text| (None, text)))
    }
}

/// The first of these variables that says something.
pub(crate) fn variables(names: &[&'static str]) -> Result<Option<String>, Failure> {
    Ok(first(names, |text| !text.is_empty())?.map(|(_, text)| text))
}

/// The first of these variables whose text counts.
fn first(names: &[&'static str], counts: impl Fn(&String) -> bool) -> Result<Option<(&'static str, String)>, Failure> {
    for name in names {
        if let Some(text) = variable(name)?.filter(&counts) {
            return Ok(Some((name, text)));
        }
    }
    Ok(None)
}

fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(usage(format!("{name} is not UTF-8"))),
    }
}

pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(USAGE, message)
}
