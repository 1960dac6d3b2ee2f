//! Brings the figures of a run into the documentation: none is written by hand.

use crate::row::Row;
use crate::{Result, plot, report};
use std::fs;
use std::path::Path;

/// Where the figures that the documentation has are kept.
const JSON: &str = "docs/bench.json";
/// The pages with figures.
const PAGES: [(&str, Page); 2] = [("README.md", Page::Headlines), ("docs/performance.md", Page::Goals)];
const BEGIN: &str = "<!-- Figures, by `locker-bench publish`: do not edit. -->\n";
const END: &str = "<!-- End of the figures. -->\n";

/// Which rows a page has.
#[derive(Clone, Copy, PartialEq)]
enum Page {
    Headlines,
    /// All that have a goal, with it.
    Goals,
}

/// The headlines: rows of this id and beside this peer.
const HEADLINES: [(&str, &str); 12] = [
    ("w1_rust", "Go concurrency"),
    ("w1_python", "Python etcd3"),
    ("w1_cpu", "Go concurrency"),
    ("w2_128", "Go concurrency"),
    ("w3_2x1", "Go concurrency"),
    ("w3_8x8", "Go concurrency"),
    ("w3_1x64", "Go concurrency"),
    ("w4_acquire", "Go concurrency"),
    ("w5_fanout", "Go client v3"),
    ("w6_run", "etcdctl lock x -- true"),
    ("w7_gap", ""),
    ("multi_8", "locker, one by one"),
];

/// From a run's JSON: its rows, in place of those with the same ids and of the same etcd that are there.
pub(crate) fn publish(from: &Path, root: &Path) -> Result<()> {
    let kept = root.join(JSON);
    let mut rows = if kept.exists() { report::read(&kept)? } else { Vec::new() };
    let new = report::read(from)?;
    rows.retain(|old| new.iter().all(|new| (&new.id, &new.server) != (&old.id, &old.server)));
    rows.extend(new);
    let order = |row: &Row| ORDER.iter().position(|workload| row.id.starts_with(workload));
    rows.sort_by(|a, b| (&a.server, order(a)).cmp(&(&b.server, order(b))));
    report::write(&rows, &kept)?;
    plot::draw(of_each_server(&rows).next().unwrap_or_default(), &kept)?;
    for (name, page) in PAGES {
        let path = root.join(name);
        fs::write(&path, filled(&fs::read_to_string(&path)?, &rows, page)?)?;
    }
    Ok(())
}

const ORDER: [&str; 9] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "multi", "so"];

/// The oldest first: it is what the goals are for.
fn of_each_server(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.server == b.server)
}

/// A page with the figures in it.
fn filled(text: &str, rows: &[Row], page: Page) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).ok_or("a page has no place for figures")?;
    let (_, after) = rest.split_once(END).ok_or("a page's place for figures has no end")?;
    let table = |rows: &[Row]| {
        let rows: Vec<_> = rows.iter().filter(|row| page.has(row)).cloned().collect();
        report::markdown(&rows, page == Page::Goals)
    };
    let servers = if page == Page::Headlines { 1 } else { usize::MAX };
    let tables: Vec<_> = of_each_server(rows).take(servers).map(table).collect();
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", tables.join("\n")))
}

impl Page {
    fn has(self, row: &Row) -> bool {
        match self {
            Page::Headlines => HEADLINES.contains(&(&row.id, &row.peer)),
            Page::Goals => row.goal.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_the_figures_that_were_measured() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let rows = report::read(&root.join(JSON)).unwrap();
        for (name, page) in PAGES {
            let text = fs::read_to_string(root.join(name)).unwrap();
            assert!(filled(&text, &rows, page).unwrap() == text, "{name} has other figures than {JSON}");
        }
        for headline in HEADLINES {
            assert!(rows.iter().any(|row| headline == (&row.id, &row.peer)), "there is no row {headline:?}");
        }
    }

    #[test]
    fn a_page_without_a_place_for_them_is_refused() {
        for page in ["", BEGIN] {
            assert!(filled(page, &[], Page::Goals).is_err(), "{page:?}");
        }
    }
}
