//! What the environment says, as the command `locker` reads it: `LOCKER_*`, then etcdctl's `ETCDCTL_*`. A variable that is
//! empty counts as not set, but for LOCKER_PREFIX, where that is a value.

use crate::error::{Failure, Result};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

/// Nobody waits longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The comma-separated list of endpoints.
pub(crate) fn endpoints() -> Result<Option<String>> {
    text(&["LOCKER_ENDPOINTS", "ETCDCTL_ENDPOINTS"])
}

/// A user's name and password. As in etcdctl, a colon in the name belongs to it when the password is given elsewhere; but
/// ours is not given by what is etcdctl's: `LOCKER_USER=NAME:PASSWORD` says all of it.
pub(crate) fn user() -> Result<Option<(String, String)>> {
    let Some((variable, user)) = first(&["LOCKER_USER", "ETCDCTL_USER"])? else { return Ok(None) };
    if let Some(password) = password()? {
        return Ok(Some((user, password)));
    }
    let pair = user.split_once(':').map(|(name, password)| (name.into(), password.into()));
    if variable == "LOCKER_USER" && pair.is_some() {
        return Ok(pair);
    }
    match (text(&["ETCDCTL_PASSWORD"])?, pair) {
        (Some(password), _) => Ok(Some((user, password))),
        (None, Some(pair)) => Ok(Some(pair)),
        (None, None) => {
            Err(Failure::Invalid(format!("no password for user {user}: set LOCKER_PASSWORD or LOCKER_PASSWORD_FILE")))
        }
    }
}

/// The password that ours gives.
fn password() -> Result<Option<String>> {
    if let Some(password) = text(&["LOCKER_PASSWORD"])? {
        return Ok(Some(password));
    }
    let Some(path) = file(&["LOCKER_PASSWORD_FILE"]) else { return Ok(None) };
    let read = fs::read_to_string(&path);
    let text = read.map_err(|error| Failure::Invalid(format!("LOCKER_PASSWORD_FILE={}: {error}", path.display())))?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Some(line.unwrap_or(&text).into()))
}

/// The certificate authorities to trust.
pub(crate) fn ca_file() -> Option<PathBuf> {
    file(&["LOCKER_CACERT", "ETCDCTL_CACERT"])
}

/// The certificate to show to etcd.
pub(crate) fn cert_file() -> Option<PathBuf> {
    file(&["LOCKER_CERT", "ETCDCTL_CERT"])
}

/// Its key. (LOCKER_KEY is what `locker run` tells its command: the lock's key in etcd.)
pub(crate) fn key_file() -> Option<PathBuf> {
    file(&["LOCKER_CERT_KEY", "ETCDCTL_KEY"])
}

/// What is put before every key.
pub(crate) fn prefix() -> Result<Option<String>> {
    variable("LOCKER_PREFIX")
}

/// For how long a dead process keeps its locks.
pub(crate) fn ttl() -> Result<Option<Duration>> {
    span(&["LOCKER_TTL"])
}

/// The limit of one request to etcd.
pub(crate) fn timeout() -> Result<Option<Duration>> {
    span(&["LOCKER_TIMEOUT", "ETCDCTL_COMMAND_TIMEOUT"])
}

/// The first that says something.
fn text(variables: &[&str]) -> Result<Option<String>> {
    Ok(first(variables)?.map(|(_, value)| value))
}

fn first<'a>(variables: &[&'a str]) -> Result<Option<(&'a str, String)>> {
    for name in variables {
        if let Some(value) = variable(name)?.filter(|value| !value.is_empty()) {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

fn file(variables: &[&str]) -> Option<PathBuf> {
    variables.iter().filter_map(env::var_os).find(|value| !value.is_empty()).map(PathBuf::from)
}

fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::Invalid(format!("{name}: not valid UTF-8"))),
    }
}

fn span(variables: &[&str]) -> Result<Option<Duration>> {
    let Some((name, value)) = first(variables)? else { return Ok(None) };
    match duration(&value) {
        Ok(span) => Ok(Some(span)),
        Err(why) => Err(Failure::Invalid(format!("{name}={value}: {why}"))),
    }
}

/// A number of seconds, or numbers with units.
fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration = match text.parse::<f64>() {
        Ok(seconds) if seconds < 0.0 => return Err("must not be negative"),
        Ok(seconds) if seconds.is_nan() => return Err("not a duration"),
        Ok(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX), // What does not fit is too long.
        Err(_) => humantime::parse_duration(text).map_err(|_| "not a duration such as 5, 1.5, 30s or 1m30s")?,
    };
    if duration > LONGEST {
        return Err("must not be longer than a year");
    }
    Ok(duration)
}
