//! How to reach etcd: flags, then `LOCKER_*`, then etcdctl's `ETCDCTL_*`.

use crate::duration;
use crate::exit::{Failure, USAGE};
use clap::Args;
use locker::{Client, Connect};
use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

const DEFAULT_ENDPOINTS: &str = "http://127.0.0.1:2379";

/// Every flag has a variable; one that is empty counts as not set, but for LOCKER_PREFIX, where that is a value.
#[derive(Args, Debug, Default, PartialEq)]
#[command(next_help_heading = "How to reach etcd")]
pub(crate) struct Connection {
    /// Comma-separated URLs of the cluster, with ports [env: LOCKER_ENDPOINTS, ETCDCTL_ENDPOINTS] [default: http://127.0.0.1:2379]
    #[arg(long, global = true, value_name = "URLS")]
    endpoints: Option<String>,
    /// Put before every key; empty to share names with `etcdctl lock` [env: LOCKER_PREFIX] [default: /locker/]
    #[arg(long, global = true, value_name = "TEXT", allow_hyphen_values = true)]
    prefix: Option<String>,
    /// How long a dead process keeps its locks, in whole seconds from 2 on [env: LOCKER_TTL] [default: 10s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true)]
    ttl: Option<Duration>,
    /// The limit of one request to etcd [env: LOCKER_TIMEOUT, ETCDCTL_COMMAND_TIMEOUT] [default: 5s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true)]
    command_timeout: Option<Duration>,
    /// An etcd user, with or without the password [env: LOCKER_USER, ETCDCTL_USER]
    #[arg(long, global = true, value_name = "NAME[:PASSWORD]")]
    user: Option<String>,
    /// The user's password; others see it in the list of processes [env: LOCKER_PASSWORD, ETCDCTL_PASSWORD]
    #[arg(long, global = true, value_name = "TEXT", conflicts_with = "password_file", allow_hyphen_values = true)]
    password: Option<String>,
    /// A file with the user's password [env: LOCKER_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<String>,
    /// A PEM file with the authorities to trust, in place of the system's [env: LOCKER_CACERT, ETCDCTL_CACERT]
    #[arg(long, global = true, value_name = "FILE")]
    cacert: Option<String>,
    /// A PEM file with the certificate to show to etcd [env: LOCKER_CERT, ETCDCTL_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<String>,
    /// A PEM file with the key of that certificate [env: LOCKER_CERT_KEY, ETCDCTL_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<String>,
}

impl Connection {
    /// Whether any of the flags is there.
    pub(crate) fn is_given(&self) -> bool {
        *self != Connection::default()
    }

    /// Connects as the flags and the environment say.
    pub(crate) async fn open(&self) -> Result<Client, Failure> {
        Ok(self.options()?.await?)
    }

    /// What the flags and the environment say.
    pub(crate) fn options(&self) -> Result<Connect, Failure> {
        let endpoints = text(&self.endpoints, &["LOCKER_ENDPOINTS", "ETCDCTL_ENDPOINTS"])?;
        let mut connect = Client::connect(endpoints.unwrap_or_else(|| DEFAULT_ENDPOINTS.into()));
        if let Some(prefix) = self.prefix.clone().map_or_else(|| variable("LOCKER_PREFIX"), |it| Ok(Some(it)))? {
            connect = connect.prefix(prefix);
        }
        if let Some(ttl) = span(self.ttl, &["LOCKER_TTL"])? {
            connect = connect.ttl(ttl);
        }
        if let Some(timeout) = span(self.command_timeout, &["LOCKER_TIMEOUT", "ETCDCTL_COMMAND_TIMEOUT"])? {
            connect = connect.timeout(timeout);
        }
        if let Some((name, password)) = self.credentials()? {
            connect = connect.user(name, password);
        }
        self.tls(connect)
    }

    fn tls(&self, mut connect: Connect) -> Result<Connect, Failure> {
        if let Some(path) = text(&self.cacert, &["LOCKER_CACERT", "ETCDCTL_CACERT"])? {
            connect = connect.ca_file(path);
        }
        if let Some(path) = text(&self.cert, &["LOCKER_CERT", "ETCDCTL_CERT"])? {
            connect = connect.cert_file(path);
        }
        // LOCKER_KEY is what `locker run` tells its command: the lock's key in etcd.
        if let Some(path) = text(&self.key, &["LOCKER_CERT_KEY", "ETCDCTL_KEY"])? {
            connect = connect.key_file(path);
        }
        Ok(connect)
    }

    /// Name and password. As in etcdctl, a colon in the name belongs to it when the password is given elsewhere.
    fn credentials(&self) -> Result<Option<(String, String)>, Failure> {
        let Some(user) = text(&self.user, &["LOCKER_USER", "ETCDCTL_USER"])? else {
            return Ok(None);
        };
        if let Some(password) = self.password()? {
            return Ok(Some((user, password)));
        }
        match user.split_once(':') {
            Some((name, password)) => Ok(Some((name.into(), password.into()))),
            None => Err(usage(format!("no password for user {user}: give --password-file or set LOCKER_PASSWORD"))),
        }
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.password_file {
            return read_password(path).map(Some);
        }
        if let Some(password) = text(&self.password, &["LOCKER_PASSWORD"])? {
            return Ok(Some(password));
        }
        match text(&None, &["LOCKER_PASSWORD_FILE"])? {
            Some(path) => read_password(&path).map(Some),
            None => text(&None, &["ETCDCTL_PASSWORD"]),
        }
    }
}

/// The flag, else the first of the variables that says something.
fn text(flag: &Option<String>, variables: &[&str]) -> Result<Option<String>, Failure> {
    if flag.is_some() {
        return Ok(flag.clone());
    }
    for name in variables {
        if let Some(value) = variable(name)?.filter(|value| !value.is_empty()) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn span(flag: Option<Duration>, variables: &[&str]) -> Result<Option<Duration>, Failure> {
    if flag.is_some() {
        return Ok(flag);
    }
    for name in variables {
        if let Some(value) = variable(name)?.filter(|value| !value.is_empty()) {
            return duration::parse(&value).map(Some).map_err(|why| usage(format!("{name}={value}: {why}")));
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

fn read_password(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    Ok(text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text).to_owned())
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(USAGE, message)
}
