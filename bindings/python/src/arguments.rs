//! What Python passes in, checked.

use crate::environment;
use crate::error::{Failure, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDelta, PyInt, PySequence, PyString};
use std::path::PathBuf;
use std::time::Duration;

/// The longest time in seconds: as `threading.TIMEOUT_MAX`, 292 years.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// Where etcd is when nobody says anything.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:2379";

/// An argument, or what is wrong with it. pyo3 converts arguments without knowing what they are called; it is
/// [`named`](Argument::named) that puts the name into the error.
pub(crate) struct Argument<T>(Result<T, Problem>);

enum Problem {
    /// Becomes a `TypeError`.
    Type {
        expected: &'static str,
        class: String,
    },
    /// Becomes an `InvalidError`.
    Value(String),
    LeftOut,
}

/// A `str`, as UTF-8.
pub(crate) type Text = Argument<String>;
/// A time in seconds: any real number but a bool, for `timeout=False` would mean "not at all" and `True` one second.
pub(crate) type Seconds = Argument<Duration>;
/// A bool, and nothing that merely counts as true or false.
pub(crate) type Flag = Argument<bool>;
/// How many: a whole number from 1 on, and no bool, for `limit=True` would mean 1.
pub(crate) type Count = Argument<u32>;
/// The path of a file.
pub(crate) type File = Argument<PathBuf>;

impl<T> Argument<T> {
    /// What Python need not pass.
    pub(crate) fn default(value: impl Into<T>) -> Self {
        Argument(Ok(value.into()))
    }

    /// What Python has not passed, and something else than it may say: see [`given`](Argument::given).
    pub(crate) fn left_out() -> Self {
        Argument(Err(Problem::LeftOut))
    }

    /// The value of the argument that is called `name`; None if it was left out.
    pub(crate) fn given(self, name: &str) -> Result<Option<T>> {
        match self.0 {
            Err(Problem::LeftOut) => Ok(None),
            _ => self.named(name).map(Some),
        }
    }

    /// The value of the argument that is called `name`.
    pub(crate) fn named(self, name: &str) -> Result<T> {
        self.0.map_err(|problem| match problem {
            Problem::Type { expected, class } => {
                PyTypeError::new_err(format!("{name}: must be {expected}, not {class}")).into()
            }
            Problem::Value(problem) => Failure::Invalid(format!("{name}: {problem}")),
            Problem::LeftOut => Failure::Invalid(format!("{name}: is left out")),
        })
    }
}

impl Problem {
    fn not(expected: &'static str, object: Borrowed<'_, '_, PyAny>) -> Self {
        let class = object.get_type().name().map_or_else(|_| "that".into(), |name| name.to_string());
        Problem::Type { expected, class }
    }
}

impl FromPyObject<'_, '_> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Argument(match object.cast::<PyString>() {
            Ok(text) => match text.to_str() {
                Ok(text) => Ok(text.into()),
                Err(_) => Err(Problem::Value("not valid UTF-8: it has a lone surrogate".into())),
            },
            Err(_) => Err(Problem::not("str", object)),
        }))
    }
}

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Argument(match object.extract::<f64>() {
            Ok(seconds) if !object.is_instance_of::<PyBool>() => duration(seconds).map_err(Problem::Value),
            Err(_) if object.cast::<PyDelta>().is_ok() => Err(Problem::Type {
                expected: "a number of seconds",
                class: "timedelta: give its total_seconds()".into(),
            }),
            Err(_) if object.is_instance_of::<PyInt>() => {
                Err(Problem::Value("too large for a number of seconds".into()))
            }
            _ => Err(Problem::not("a number of seconds", object)),
        }))
    }
}

fn duration(seconds: f64) -> Result<Duration, String> {
    if seconds.is_nan() {
        Err("not a number of seconds: nan".into())
    } else if seconds < 0.0 {
        Err(format!("must not be negative: {seconds}"))
    } else if seconds > SECONDS_MAX {
        Err(format!("too long, at most {SECONDS_MAX} seconds: {seconds}"))
    } else {
        Ok(Duration::from_secs_f64(seconds))
    }
}

impl FromPyObject<'_, '_> for Flag {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Argument(object.cast::<PyBool>().map(|flag| flag.is_true()).map_err(|_| Problem::not("bool", object))))
    }
}

impl FromPyObject<'_, '_> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Argument(match object.extract::<u32>() {
            _ if object.is_instance_of::<PyBool>() => Err(Problem::not("int", object)),
            Ok(count @ 1..) => Ok(count),
            Err(_) if !object.is_instance_of::<PyInt>() => Err(Problem::not("int", object)),
            _ => Err(Problem::Value(format!("must be 1 to {}", u32::MAX))),
        }))
    }
}

impl FromPyObject<'_, '_> for File {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(Argument(object.extract().map_err(|_: PyErr| Problem::not("str or os.PathLike", object))))
    }
}

/// The comma-separated list to connect to: what was given, else what the environment says, else this machine.
pub(crate) fn endpoints(given: Option<&Bound<'_, PyAny>>) -> Result<String> {
    match given {
        Some(given) => match given.cast::<PySequence>() {
            Ok(sequence) if !given.is_instance_of::<PyString>() => joined(sequence),
            _ => given.extract::<Text>()?.named("endpoints"),
        },
        None => Ok(environment::endpoints()?.unwrap_or_else(|| DEFAULT_ENDPOINT.into())),
    }
}

fn joined(endpoints: &Bound<'_, PySequence>) -> Result<String> {
    let mut list = Vec::new();
    for endpoint in endpoints.try_iter()? {
        list.push(endpoint?.extract::<Text>()?.named("endpoints")?);
    }
    if list.iter().any(String::is_empty) {
        return Err(Failure::Invalid("endpoints: one of them is empty".into()));
    }
    Ok(list.join(","))
}

/// The names of several locks. A text is an iterable of texts, but not what is meant.
pub(crate) fn names(given: &Bound<'_, PyAny>) -> Result<Vec<String>> {
    let is_one = given.is_instance_of::<PyString>();
    let is_bytes = given.is_instance_of::<PyBytes>() || given.is_instance_of::<PyByteArray>();
    match given.try_iter() {
        Ok(names) if !is_one && !is_bytes => {
            let texts = names.enumerate().map(|(n, name)| name?.extract::<Text>()?.named(&format!("names[{n}]")));
            texts.collect()
        }
        Err(error) if !error.is_instance_of::<PyTypeError>(given.py()) => Err(error.into()),
        _ => {
            let class = given.get_type().name()?;
            Err(PyTypeError::new_err(format!("names: must be an iterable of str, not {class}")).into())
        }
    }
}

/// A user's name and password, of use only together.
pub(crate) fn user(name: Option<Text>, password: Option<Text>) -> Result<Option<(String, String)>> {
    match (name, password) {
        (Some(name), Some(password)) => Ok(Some((name.named("username")?, password.named("password")?))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Failure::Invalid("username: must be given with password".into())),
        (Some(_), None) => Err(Failure::Invalid("password: must be given with username".into())),
    }
}
