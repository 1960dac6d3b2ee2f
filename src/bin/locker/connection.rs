//! How to reach etcd: flags, then `LOCKER_*`, then etcdctl's `ETCDCTL_*`, then the configuration file.

use crate::duration;
use crate::exit::Failure;
use crate::settings::{CACERT, CERT, ENDPOINTS, KEY, PREFIX, Settings, TIMEOUT, TTL, USER, usage, variables};
use clap::Args;
use locker::{Client, Connect};
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

    /// Connects as the flags, the environment and the configuration file say.
    pub(crate) async fn open(&self) -> Result<Client, Failure> {
        self.open_as(|connect| connect).await
    }

    /// The same, with something more.
    pub(crate) async fn open_as(&self, more: impl FnOnce(Connect) -> Connect) -> Result<Client, Failure> {
        let mut settings = Settings::load()?;
        let endpoints = self.endpoints(&mut settings)?;
        let connect = more(self.options(&mut settings, endpoints)?);
        connect.await.map_err(|error| settings.wrong(error))
    }

    /// Which etcd is meant.
    pub(crate) fn endpoints(&self, settings: &mut Settings) -> Result<String, Failure> {
        let said = settings.text(self.endpoints.as_deref(), &ENDPOINTS)?;
        Ok(said.unwrap_or_else(|| DEFAULT_ENDPOINTS.into()))
    }

    /// How to connect to this etcd.
    pub(crate) fn options(&self, settings: &mut Settings, endpoints: String) -> Result<Connect, Failure> {
        let mut connect = Client::connect(endpoints);
        if let Some(prefix) = self.prefix(settings)? {
            connect = connect.prefix(prefix);
        }
        if let Some(ttl) = settings.span(self.ttl, &TTL)? {
            connect = connect.ttl(ttl);
        }
        if let Some(timeout) = settings.span(self.command_timeout, &TIMEOUT)? {
            connect = connect.timeout(timeout);
        }
        if let Some((name, password)) = self.credentials(settings)? {
            connect = connect.user(name, password);
        }
        if let Some(path) = settings.text(self.cacert.as_deref(), &CACERT)? {
            connect = connect.ca_file(path);
        }
        if let Some(path) = settings.text(self.cert.as_deref(), &CERT)? {
            connect = connect.cert_file(path);
        }
        if let Some(path) = settings.text(self.key.as_deref(), &KEY)? {
            connect = connect.key_file(path);
        }
        Ok(connect)
    }

    /// How long a dead process keeps its locks.
    pub(crate) fn ttl(&self, settings: &mut Settings) -> Result<Duration, Failure> {
        Ok(settings.span(self.ttl, &TTL)?.unwrap_or(Duration::from_secs(10)))
    }

    pub(crate) fn prefix(&self, settings: &mut Settings) -> Result<Option<String>, Failure> {
        settings.text(self.prefix.as_deref(), &PREFIX)
    }

    /// Name and password. As in etcdctl, a colon in the name belongs to it when the password is given elsewhere. The file's
    /// password is that of the file's user, and nobody else's.
    fn credentials(&self, settings: &mut Settings) -> Result<Option<(String, String)>, Failure> {
        let Some(user) = settings.text(self.user.as_deref(), &USER)? else {
            return Ok(None);
        };
        if let Some(password) = self.password()? {
            return Ok(Some((user, password)));
        }
        if settings.config.get(USER.key)?.as_ref() == Some(&user)
            && let Some(password) = password_of_file(settings)?
        {
            return Ok(Some((user, password)));
        }
        match user.split_once(':') {
            Some((name, password)) => Ok(Some((name.into(), password.into()))),
            None => Err(usage(format!("no password for user {user}: give --password-file or set LOCKER_PASSWORD"))),
        }
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.password_file {
            return read_password(path).map(Some).map_err(usage);
        }
        if self.password.is_some() {
            return Ok(self.password.clone());
        }
        if let Some(password) = variables(&["LOCKER_PASSWORD"])? {
            return Ok(Some(password));
        }
        match variables(&["LOCKER_PASSWORD_FILE"])? {
            Some(path) => read_password(&path).map(Some).map_err(usage),
            None => variables(&["ETCDCTL_PASSWORD"]),
        }
    }
}

fn password_of_file(settings: &Settings) -> Result<Option<String>, Failure> {
    const FILE: &str = "password-file";
    match settings.config.get(FILE)? {
        Some(path) => read_password(&path).map(Some).map_err(|why| settings.config.wrong(FILE, &why)),
        None => settings.config.get("password"),
    }
}

fn read_password(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text).to_owned())
}
