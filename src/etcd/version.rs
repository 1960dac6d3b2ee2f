//! What is known to be wrong with a release of etcd, as far as locks depend on it.

/// A fault of etcd that touches locks.
struct Shortcoming {
    /// The first release without it, of each line that has one: major, minor, patch. Later lines are without it.
    fixed_in: [(u32, u32, u32); 3],
    what: &'static str,
}

/// From etcd's changelogs: #15247 and #20590, and #20418.
const SHORTCOMINGS: [Shortcoming; 2] = [
    Shortcoming {
        fixed_in: [(3, 4, 38), (3, 5, 23), (3, 6, 5)],
        what: "a leader whose disk stalls may end a lease before its time, so that for a moment two hold a lock (the \
               older is told within a quarter of a second; what checks tokens is safe)",
    },
    Shortcoming {
        fixed_in: [(3, 4, 42), (3, 5, 28), (3, 6, 9)],
        what: "a read may be old while the leader changes, and permissions can be got round",
    },
];

/// What to say to somebody who uses etcd `version` for locks, if anything.
pub(super) fn watch_out(version: &str) -> Option<String> {
    let running = parse(version)?;
    let told: Vec<_> = SHORTCOMINGS
        .iter()
        .filter(|shortcoming| shortcoming.is_in(running))
        .map(|Shortcoming { fixed_in: [a, b, c], what }| {
            format!("{what}; fixed in {}, {} and {}", text(*a), text(*b), text(*c))
        })
        .collect();
    (!told.is_empty()).then(|| format!("etcd {version} has known faults: {}", told.join(". ")))
}

impl Shortcoming {
    fn is_in(&self, running: (u32, u32, u32)) -> bool {
        let (major, minor, _) = running;
        match self.fixed_in.iter().find(|(line, fixed, _)| (*line, *fixed) == (major, minor)) {
            Some(fixed) => running < *fixed,
            None => running < self.fixed_in[0],
        }
    }
}

fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let numbers = version.split(['-', '+']).next()?;
    let mut numbers = numbers.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn text((major, minor, patch): (u32, u32, u32)) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_releases_has_its_own_fix() {
        for (version, count) in [
            ("3.3.27", 2),
            ("3.4.23", 2),
            ("3.4.38", 1),
            ("3.4.42", 0),
            ("3.5.22", 2),
            ("3.5.28", 0),
            ("3.6.0-rc.1", 2),
            ("3.6.5", 1),
            ("3.6.9", 0),
            ("3.7.0", 0),
            ("4.0.0", 0),
            ("what?", 0),
        ] {
            let told = watch_out(version).map_or(0, |told| told.matches("fixed in").count());
            assert_eq!(told, count, "{version}");
        }
    }
}
