//! What Python passes in, checked.
//!
//! A wrong type is a `TypeError`, in which pyo3 names the argument; a wrong value is an `InvalidError` that names it.

use crate::error::{Failure, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use std::env;
use std::time::Duration;

/// The longest time in seconds: as `threading.TIMEOUT_MAX`, 292 years.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// Where etcd is when nobody says anything.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:2379";

/// A `str`; `None` if it holds lone surrogates, which are not UTF-8.
pub(crate) struct Text(Option<String>);

impl Text {
    pub(crate) fn named(self, argument: &str) -> Result<String> {
        self.0.ok_or_else(|| Failure::Invalid(format!("{argument}: not valid UTF-8 (it has a lone surrogate)")))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(Some(text.into()))
    }
}

impl FromPyObject<'_, '_> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Text(object.cast::<PyString>()?.to_str().ok().map(String::from)))
    }
}

/// A time in seconds, any real number but a bool: `timeout=False` would mean "not at all" and `True` one second.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(f64);

impl Seconds {
    pub(crate) const fn new(seconds: f64) -> Self {
        Seconds(seconds)
    }

    pub(crate) fn named(self, argument: &str) -> Result<Duration> {
        let seconds = self.0;
        let problem = if seconds.is_nan() {
            "not a number"
        } else if seconds < 0.0 {
            "must not be negative"
        } else if seconds > SECONDS_MAX {
            "too long; at most 9223372036 seconds (leave it out to wait as long as it takes)"
        } else {
            return Ok(Duration::from_secs_f64(seconds));
        };
        Err(Failure::Invalid(format!("{argument}: {problem}: {seconds}")))
    }
}

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyBool>() {
            return Err(PyTypeError::new_err("must be real number, not bool"));
        }
        object.extract().map(Seconds)
    }
}

/// One URL, several with commas between them, or a sequence of such.
#[derive(FromPyObject)]
pub(crate) enum Endpoints {
    #[pyo3(annotation = "str")]
    Text(Text),
    #[pyo3(annotation = "Sequence[str]")]
    Sequence(Vec<Text>),
}

impl Endpoints {
    fn into_list(self) -> Result<String> {
        let texts = match self {
            Endpoints::Text(text) => vec![text],
            Endpoints::Sequence(texts) => texts,
        };
        let texts = texts.into_iter().map(|text| text.named("endpoints")).collect::<Result<Vec<_>>>()?;
        Ok(texts.join(","))
    }
}

/// The comma-separated list to connect to: what was given, else what the environment says, else this machine.
pub(crate) fn endpoints(given: Option<Endpoints>) -> Result<String> {
    match given {
        Some(endpoints) => endpoints.into_list(),
        None => Ok(from_environment("LOCKER_ENDPOINTS")?
            .or(from_environment("ETCDCTL_ENDPOINTS")?)
            .unwrap_or_else(|| DEFAULT_ENDPOINT.into())),
    }
}

fn from_environment(variable: &str) -> Result<Option<String>> {
    match env::var(variable) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::Invalid(format!("${variable}: not valid UTF-8"))),
    }
}

/// Two arguments that are of use only together.
pub(crate) fn both<T>(first: (&str, Option<T>), second: (&str, Option<T>)) -> Result<Option<(T, T)>> {
    match (first, second) {
        ((_, Some(first)), (_, Some(second))) => Ok(Some((first, second))),
        ((_, None), (_, None)) => Ok(None),
        ((given, Some(_)), (missing, None)) | ((missing, None), (given, Some(_))) => {
            Err(Failure::Invalid(format!("{missing}: must be given with {given}")))
        }
    }
}
