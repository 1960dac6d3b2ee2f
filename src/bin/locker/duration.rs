//! Spans of time on the command line: `5`, `1.5`, `30s`, `1m30s`.

use std::time::Duration;

/// Nobody waits longer; a greater number is a slip, and clocks cannot count to some of them.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads a number of seconds, or numbers with units.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<f64>() {
        Ok(seconds) => of_seconds(seconds)?,
        Err(_) if text.starts_with('-') => return Err("must not be negative".into()),
        Err(_) => humantime::parse_duration(text).map_err(|_| "not a duration such as 5, 1.5, 30s or 1m30s")?,
    };
    if duration > LONGEST {
        return Err("must not be longer than a year".into());
    }
    Ok(duration)
}

fn of_seconds(seconds: f64) -> Result<Duration, String> {
    if seconds.is_nan() {
        return Err("not a duration".into());
    }
    if seconds.is_sign_negative() && seconds != 0.0 {
        return Err("must not be negative".into());
    }
    // What does not fit is too long in any case.
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn seconds_and_units() {
        let cases = [
            ("5", 5_000),
            ("1.5", 1_500),
            ("0", 0),
            ("-0", 0),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("250ms", 250),
            ("2h", 7_200_000),
            ("1.5s", 1_500),
            ("365d", 365 * 86_400_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in
            ["", " ", "-1", "-1s", "nan", "inf", "-inf", "1e300", "366d", "31536001", "soon", "5 parsecs", "5s5"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("-1s"), Err("must not be negative".into()));
        assert_eq!(parse("1e300"), Err("must not be longer than a year".into()));
    }
}
