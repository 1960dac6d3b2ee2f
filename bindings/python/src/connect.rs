//! Connecting to an etcd cluster, as a program and the environment say.

use crate::arguments::{self, File, Seconds, Text};
use crate::client::Client;
use crate::connection::Connection;
use crate::environment;
use crate::error::Result;
use crate::log;
use crate::owned::Owned;
use crate::runtime::Runtime;
use crate::work::Work;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

/// Connect to an etcd cluster.
///
/// endpoints: one URL, several with commas between them, or a sequence of URLs. Left out: $LOCKER_ENDPOINTS, else
///     $ETCDCTL_ENDPOINTS, else http://127.0.0.1:2379; and then all else that is left out comes from the environment,
///     too, as far as it is there: see default_client().
/// prefix: is put before every key; programs that share locks must agree on it. May be empty, which is how to share a
///     lock with `etcdctl lock NAME`.
/// ttl: seconds for which a dead process keeps its locks; at least 2, a fraction is rounded up to a whole second.
/// timeout: seconds that everything may take that waits for etcd (and not for another holder of a lock).
/// username, password: of an etcd user; both or none.
/// ca_file: a PEM file with the certificate authorities to trust in place of the system's.
/// cert_file, key_file: PEM files with the client's certificate chain and its key.
///
/// Raises InvalidError if an argument is wrong, UnavailableError if no endpoint has answered within `timeout`, and
/// DeniedError if etcd refuses the user.
#[pyfunction]
#[pyo3(
    signature = (endpoints=None, *, prefix=Text::left_out(), ttl=Seconds::left_out(), timeout=Seconds::left_out(),
        username=None, password=None, ca_file=None, cert_file=None, key_file=None),
    text_signature = "(endpoints=None, *, prefix='/locker/', ttl=10.0, timeout=5.0, username=None, password=None, \
        ca_file=None, cert_file=None, key_file=None)"
)]
#[allow(clippy::too_many_arguments)] // They are keywords in Python.
pub(crate) fn connect(
    py: Python<'_>,
    endpoints: Option<&Bound<'_, PyAny>>,
    prefix: Text,
    ttl: Seconds,
    timeout: Seconds,
    username: Option<Text>,
    password: Option<Text>,
    ca_file: Option<File>,
    cert_file: Option<File>,
    key_file: Option<File>,
) -> Result<Client> {
    let options = Options { prefix, ttl, timeout, username, password, ca_file, cert_file, key_file };
    Ok(Client::new(connecting(py, endpoints, options)?.wait(py)?))
}

/// The keywords of connect().
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    #[pyo3(default = Text::left_out())]
    prefix: Text,
    #[pyo3(default = Seconds::left_out())]
    ttl: Seconds,
    #[pyo3(default = Seconds::left_out())]
    timeout: Seconds,
    username: Option<Text>,
    password: Option<Text>,
    ca_file: Option<File>,
    cert_file: Option<File>,
    key_file: Option<File>,
}

pub(crate) fn connecting(
    py: Python<'_>,
    endpoints: Option<&Bound<'_, PyAny>>,
    options: Options,
) -> Result<Work<Connection>> {
    let runtime = Runtime::get(py)?;
    log::follow(py)?;
    let from_environment = endpoints.is_none();
    let endpoints = arguments::endpoints(endpoints)?;
    let settings = Settings {
        prefix: options.prefix.given("prefix")?,
        ttl: options.ttl.given("ttl")?,
        timeout: options.timeout.given("timeout")?,
        user: arguments::user(options.username, options.password)?,
        ca_file: options.ca_file.map(|file| file.named("ca_file")).transpose()?,
        cert_file: options.cert_file.map(|file| file.named("cert_file")).transpose()?,
        key_file: options.key_file.map(|file| file.named("key_file")).transpose()?,
    };
    let settings = if from_environment { settings.or_environment()? } else { settings };
    let prefix = settings.prefix.clone().unwrap_or_else(|| DEFAULT_PREFIX.into());
    let mut connect = settings.apply(locker::Client::connect(&endpoints)).prefix(&prefix);
    if let Some(name) = program(py) {
        connect = connect.program(name);
    }
    Ok(Work::new(runtime, async move {
        let client = Owned::new(runtime, connect.await?);
        Ok(Connection { client, endpoints, prefix, silent: Default::default() })
    }))
}

const DEFAULT_PREFIX: &str = "/locker/";

/// What was said about a connection, but for where etcd is; what was left out is None.
struct Settings {
    prefix: Option<String>,
    ttl: Option<Duration>,
    timeout: Option<Duration>,
    user: Option<(String, String)>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Settings {
    /// What was left out, from the environment; what goes together is taken from one of both.
    fn or_environment(self) -> Result<Self> {
        let (cert_file, key_file) = match (self.cert_file, self.key_file) {
            (None, None) => (environment::cert_file(), environment::key_file()),
            given => given,
        };
        Ok(Settings {
            prefix: self.prefix.map_or_else(environment::prefix, |it| Ok(Some(it)))?,
            ttl: self.ttl.map_or_else(environment::ttl, |it| Ok(Some(it)))?,
            timeout: self.timeout.map_or_else(environment::timeout, |it| Ok(Some(it)))?,
            user: self.user.map_or_else(environment::user, |it| Ok(Some(it)))?,
            ca_file: self.ca_file.or_else(environment::ca_file),
            cert_file,
            key_file,
        })
    }

    fn apply(self, connect: locker::Connect) -> locker::Connect {
        let connect = self.ttl.into_iter().fold(connect, locker::Connect::ttl);
        let connect = self.timeout.into_iter().fold(connect, locker::Connect::timeout);
        let connect = self.user.into_iter().fold(connect, |connect, (name, password)| connect.user(name, password));
        let connect = self.ca_file.into_iter().fold(connect, locker::Connect::ca_file);
        let connect = self.cert_file.into_iter().fold(connect, locker::Connect::cert_file);
        self.key_file.into_iter().fold(connect, locker::Connect::key_file)
    }
}

/// The name of the running script, or of the package run by `python -m`: the process is called python, which helps
/// nobody who finds a lock busy.
fn program(py: Python<'_>) -> Option<String> {
    let arguments = py.import("sys").ok()?.getattr("argv").ok()?;
    let path: PathBuf = arguments.get_item(0).ok()?.extract().ok()?;
    let path = if path.ends_with("__main__.py") { path.parent()? } else { &path };
    let name = path.file_name()?.to_string_lossy().into_owned();
    Some(name).filter(|name| name != "-c")
}
