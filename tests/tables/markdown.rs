//! Tables in Markdown.

/// One row, with the words of the column heads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The heading of the section.
    pub(crate) section: String,
    cells: Vec<(String, String)>,
}

impl Row {
    /// The text in the column with this head, if there is such a column.
    pub(crate) fn cell(&self, head: &str) -> Option<&str> {
        self.cells.iter().find(|(of, _)| of == head).map(|(_, text)| text.as_str())
    }

    /// The text in the first column: what the row is about.
    pub(crate) fn about(&self) -> &str {
        self.cells.first().map_or("", |(_, text)| text)
    }

    /// The columns after the first, by their heads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells.iter().skip(1).map(|(head, text)| (head.as_str(), text.as_str()))
    }
}

/// The rows of all tables of a page.
pub(crate) fn rows(page: &str) -> Vec<Row> {
    let (mut rows, mut section, mut heads) = (Vec::new(), String::new(), Vec::new());
    for line in page.lines() {
        if let Some(title) = line.strip_prefix('#') {
            section = title.trim_matches(['#', ' ']).into();
        }
        match cells(line) {
            None => heads.clear(),
            Some(cells) if heads.is_empty() => heads = cells,
            Some(cells) if cells.iter().all(|cell| !cell.is_empty() && cell.trim_matches('-').is_empty()) => (),
            Some(cells) => {
                assert_eq!(cells.len(), heads.len(), "a row has as many cells as its table has heads: {line}");
                rows.push(Row { section: section.clone(), cells: heads.iter().cloned().zip(cells).collect() });
            }
        }
    }
    rows
}

fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(line.split('|').map(|cell| cell.trim().into()).collect())
}

/// What stands between backticks.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What a text links to.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn tables_and_what_is_in_them() {
    let page =
        "# A\n| b | c |\n|---|---|\n| d | `e` f `g` |\n\n## H\n\n| i | j |\n|---|---|\n| — | [k](../l#m), [n](o) |\n";
    let rows = rows(page);
    let [first, second] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (first.section.as_str(), first.about(), first.cell("c"), first.cell("j")),
        ("A", "d", Some("`e` f `g`"), None)
    );
    assert_eq!(code(first.cell("c").unwrap()).collect::<Vec<_>>(), ["e", "g"]);
    assert_eq!((second.section.as_str(), second.about()), ("H", "—"));
    assert_eq!(links(second.cell("j").unwrap()).collect::<Vec<_>>(), ["../l#m", "o"]);
}
