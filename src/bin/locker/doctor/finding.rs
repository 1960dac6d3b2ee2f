//! What was found out, one thing a line.

use crate::exit::{self, Code, Failure};
use crate::output;
use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    status: Status,
    check: &'static str,
    /// Of what kind of thing which one.
    subject: String,
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip)]
    code: Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Locks work, but not as well as they could.
    Warning,
    Problem,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, subject: &str, detail: impl Into<String>) -> Self {
        let (subject, detail) = (subject.into(), detail.into());
        let (advice, version, latency_ms) = (None, None, None);
        Finding { status: Status::Ok, check, subject, detail, advice, version, latency_ms, code: exit::OK }
    }

    pub(crate) fn warning(check: &'static str, subject: &str, detail: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.into());
        Finding { status: Status::Warning, advice, ..Finding::ok(check, subject, detail) }
    }

    pub(crate) fn problem(
        check: &'static str,
        subject: &str,
        code: Code,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let advice = Some(advice.into());
        Finding { status: Status::Problem, advice, code, ..Finding::ok(check, subject, detail) }
    }

    pub(crate) fn of_version(self, version: Option<String>) -> Self {
        Finding { version, ..self }
    }

    pub(crate) fn with_latency(self, millis: f64) -> Self {
        Finding { latency_ms: Some((millis * 1000.0).round() / 1000.0), ..self }
    }

    fn line(&self) -> String {
        let status = match self.status {
            Status::Ok => "ok     ",
            Status::Warning => "warning",
            Status::Problem => "problem",
        };
        let subject = if self.subject.is_empty() { String::new() } else { format!(" {}", self.subject) };
        let advice = self.advice.as_ref().map(|advice| format!("; to do: {advice}")).unwrap_or_default();
        format!("{status} {}{subject}: {}{advice}", self.check, self.detail)
    }
}

/// What is told, and with what it ends.
pub(crate) struct Report {
    json: bool,
    /// Under which the locks are.
    pub(crate) prefix: String,
    code: Code,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Report { json, prefix: "/locker/".into(), code: exit::OK }
    }

    /// Tells of what any of our commands would end with.
    pub(crate) async fn fail(
        &mut self,
        check: &'static str,
        subject: &str,
        failure: impl Into<Failure>,
    ) -> Result<(), Failure> {
        let Failure { code, message, .. } = failure.into();
        let message = message.unwrap_or_default();
        let advice = advice(code, &message, &self.prefix);
        self.tell(Finding::problem(check, subject, code, message, advice)).await
    }

    pub(crate) async fn tell(&mut self, finding: Finding) -> Result<(), Failure> {
        // The first problem is mostly the cause of the others.
        if self.code == exit::OK {
            self.code = finding.code;
        }
        let json = || serde_json::to_string(&finding).expect("texts and numbers are always JSON");
        output::line(if self.json { json() } else { finding.line() }).await
    }

    /// That of the first problem.
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

fn advice(code: Code, message: &str, prefix: &str) -> String {
    match code {
        exit::DENIED if message.contains("certificate") => {
            "name the authority that has signed etcd's certificate by --cacert, ask etcd by a name that is in it, and \
             show it your own by --cert and --key if it wants one"
                .into()
        }
        exit::DENIED if message.contains("permission denied") => {
            format!("etcdctl role grant-permission ROLE --prefix=true readwrite {prefix:?}, of a role of the user's")
        }
        exit::DENIED => "give a user whom etcd knows: --user and --password-file".into(),
        exit::UNAVAILABLE => "see whether etcd runs, and what is in between: etcdctl endpoint health".into(),
        exit::INTERNAL => "report this bug in locker".into(),
        _ => "correct what it names".into(),
    }
}
