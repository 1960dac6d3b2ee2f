//! Certificates for a test, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// An authority, and those whom it has certified. Its files are gone when it is dropped.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    /// Its own certificate.
    pub cert: PathBuf,
    key: PathBuf,
}

/// A certificate that an authority has issued, and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, as PEM.
    pub cert: PathBuf,
    /// The key, as PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one that nobody trusts.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("locker-test-").tempdir().expect("a temporary directory");
        let [cert, key] = ["ca.pem", "ca.key"].map(|name| directory.path().join(name));
        request(&cert, &key, "authority", &["-x509", "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE"]);
        Authority { directory, cert, key }
    }

    /// Certifies that `name` goes by `alternative`, such as `IP:127.0.0.1` or `DNS:somewhere`.
    pub fn issue(&self, name: &str, alternative: &str) -> Issued {
        let [cert, key, csr, extensions] =
            ["pem", "key", "csr", "ext"].map(|kind| self.directory.path().join(format!("{name}.{kind}")));
        request(&csr, &key, name, &[]);
        let text = format!("subjectAltName={alternative}\nextendedKeyUsage=serverAuth,clientAuth\n");
        std::fs::write(&extensions, text).expect("it can be written");
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-CA"])
            .arg(&self.cert)
            .arg("-CAkey")
            .arg(&self.key);
        succeed(sign.arg("-in").arg(csr).arg("-extfile").arg(extensions).arg("-out").arg(&cert));
        Issued { cert, key }
    }
}

/// Makes a key, and a request for a certificate of it, or with `-x509` the certificate.
fn request(out: &Path, key: &Path, name: &str, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]);
    succeed(command.arg(format!("/CN={name}")).args(arguments).arg("-keyout").arg(key).arg("-out").arg(out));
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("openssl is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
