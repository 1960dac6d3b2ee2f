//! TLS: whom we trust, and who we are, as files say.

use super::classify::root;
use super::endpoint::Endpoint;
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::debug;

/// Who we are to etcd, and whom we trust.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) user: Option<(String, String)>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
}

impl Access {
    pub(super) fn has_files(&self) -> bool {
        self.named_files().is_some()
    }

    /// The files by name, for an error that may be of any of them; `None`: there are none.
    fn named_files(&self) -> Option<String> {
        let files = [("ca_file", &self.ca_file), ("cert_file", &self.cert_file), ("key_file", &self.key_file)];
        let given = files.into_iter().filter_map(|(argument, path)| Some((argument, path.as_ref()?)));
        let names: Vec<_> = given.map(|(argument, path)| format!("{argument} {}", path.display())).collect();
        (!names.is_empty()).then(|| names.join(" or "))
    }
}

/// Makes the `https` endpoints ready for TLS. Fails with `Invalid` if a file is of no use, and with `Unavailable` if one is
/// not read until `by`.
///
/// They are read by a thread of their own. To read a pipe, or a file of a server that is gone, takes as long as somebody
/// likes; a runtime of one thread would renew no lease meanwhile, and the end of a runtime waits for its own blocking
/// threads.
pub(super) async fn secure(endpoints: Vec<Endpoint>, access: &Access, by: Instant) -> Result<Vec<Endpoint>> {
    if !endpoints.iter().any(Endpoint::is_secure) {
        return Ok(endpoints);
    }
    let (send, secured) = oneshot::channel();
    let reader = access.clone();
    let read = move || drop(send.send(secure_now(endpoints, &reader)));
    let unread = |why| {
        let files = access.named_files().unwrap_or_else(|| "the certificates of the system".into());
        Error::new(ErrorKind::Unavailable, format!("{files}: {why}"))
    };
    thread::Builder::new()
        .name("locker-tls".into())
        .spawn(read)
        .map_err(|error| unread("no thread to read with").with_source(error))?;
    match timeout_at(by, secured).await {
        Ok(secured) => secured.expect("it does not panic"),
        Err(_) => Err(unread("not read in time")),
    }
}

/// As [`secure`], by the caller's thread. Each file is read once: a pipe can be.
pub(crate) fn secure_now(mut endpoints: Vec<Endpoint>, access: &Access) -> Result<Vec<Endpoint>> {
    let config = Arc::new(config(access)?);
    for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.is_secure()) {
        endpoint.secure(config.clone())?;
    }
    Ok(endpoints)
}

fn config(access: &Access) -> Result<ClientConfig> {
    let of_no_use = |error: &dyn std::error::Error| {
        let files = access.named_files().unwrap_or_else(|| "TLS".into());
        Error::invalid(format!("{files} is of no use: {}", root(error)))
    };
    // All are read before any is looked into: a file that is missing is told first.
    let authorities = access.ca_file.as_deref().map(|path| pem("ca_file", path, "CERTIFICATE")).transpose()?;
    let identity = identity(access)?;
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let trusted = match authorities {
        Some(text) => certificates(&text).map_err(|error| of_no_use(&error))?,
        None => those_of_the_system()?,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let builder = builder.map_err(|error| of_no_use(&error))?.with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => {
            let chain = certificates(&chain).map_err(|error| of_no_use(&error))?;
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| of_no_use(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| of_no_use(&error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The texts of the certificate and the key that say who we are, if they are given.
fn identity(access: &Access) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    match (&access.cert_file, &access.key_file) {
        (Some(cert), Some(key)) => {
            Ok(Some((pem("cert_file", cert, "CERTIFICATE")?, pem("key_file", key, "PRIVATE KEY")?)))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::invalid("cert_file is given without key_file")),
        (None, Some(_)) => Err(Error::invalid("key_file is given without cert_file")),
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(text).collect()
}

fn those_of_the_system() -> Result<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    if !found.errors.is_empty() {
        debug!(errors = ?found.errors, "not all certificates of the system can be read");
    }
    match found.certs.is_empty() {
        true => Err(Error::invalid("endpoints: the system has no certificates for https: give a ca_file")),
        false => Ok(found.certs),
    }
}

/// Reads a PEM file and makes sure that it is one: rustls takes an empty one without a word, and then trusts nobody.
fn pem(argument: &str, path: &Path, holds: &str) -> Result<Vec<u8>> {
    let text = std::fs::read(path)
        .map_err(|error| Error::invalid(format!("{argument} {}: {error}", path.display())).with_source(error))?;
    match String::from_utf8_lossy(&text).contains(&format!("{holds}-----")) {
        true => Ok(text),
        false => Err(Error::invalid(format!("{argument} {}: there is no {holds} in it", path.display()))),
    }
}
