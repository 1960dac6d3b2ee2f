//! The table: for people, as JSON, and as the README has it.

use crate::Result;
use crate::row::Row;
use std::fs;
use std::path::Path;

pub(crate) fn write(rows: &[Row], path: &Path) -> Result<()> {
    Ok(fs::write(path, serde_json::to_string_pretty(rows)? + "\n")?)
}

pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

pub(crate) fn head(server: &str) -> String {
    let columns = ["id", "workload", "beside", "ratio", "spread", "goal", "met", "ours : theirs"];
    format!("etcd {server}; medians of all rounds, from quartile to quartile\n{}", line(columns.map(String::from)))
}

pub(crate) fn body(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
        let goal = row.goal.clone().unwrap_or_default();
        let (id, workload, peer) = (row.id.clone(), row.workload.clone(), row.peer.clone());
        [id, workload, peer, figure(row), spread(row), goal, met.into(), sides(row)]
    });
    cells.map(line).collect()
}

pub(crate) fn foot(rows: &[Row]) -> String {
    let goals: Vec<_> = rows.iter().filter_map(|row| row.met).collect();
    format!("{} of {} goals met\n", goals.iter().filter(|met| **met).count(), goals.len())
}

fn line(cells: [String; 8]) -> String {
    let [id, workload, beside, ratio, spread, goal, met, sides] = cells;
    let text =
        format!("{id:<10}  {workload:<49}  {beside:<22}  {ratio:<26}  {spread:>6}  {goal:<7}  {met:<3}  {sides}");
    format!("{}\n", text.trim_end())
}

/// The table of a page, with the goals or without.
pub(crate) fn markdown(rows: &[Row], goals: bool) -> String {
    let (server, machine) = rows.first().map_or(("?", "?"), |row| (&row.server, &row.machine));
    let mut text = format!(
        "Measured by `make bench`, in turns with the peers in one run, on etcd {server} and {machine}; medians of all rounds.\n\n"
    );
    let mut line = |cells: &[&str], goal: &str| {
        text += &format!("| {} |", cells.join(" | "));
        text += &if goals { format!(" {goal} |\n") } else { "\n".into() };
    };
    line(&["workload", "beside", "ratio", "spread"], "goal");
    line(&["---"; 4], "---");
    for row in rows {
        let beside = if row.peer.is_empty() { "–" } else { &row.peer };
        line(&[&row.workload, beside, &figure(row), &spread(row)], &goal(row));
    }
    text
}

fn goal(row: &Row) -> String {
    match (&row.goal, row.met) {
        (Some(goal), Some(false)) => format!("{goal}, **missed**"),
        (goal, _) => goal.clone().unwrap_or_default(),
    }
}

fn figure(row: &Row) -> String {
    format!("{} {}", number(row.ratio), row.unit)
}

fn spread(row: &Row) -> String {
    if row.rounds > 1 { format!("{:.0} %", row.spread * 100.0) } else { String::new() }
}

fn sides(row: &Row) -> String {
    match (row.value, row.peer_value, &row.value_unit) {
        (Some(ours), Some(theirs), Some(unit)) => format!("{} : {} {unit}", number(ours), number(theirs)),
        _ => String::new(),
    }
}

/// Three digits, or all that are before the point.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size => (2 - size.log10().floor() as i32).clamp(0, 4) as usize,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 0.0123, 0.7812, 1.0, 9.994, 17.53, 176.4, 50_000.0].map(number);
        assert_eq!(texts, ["0", "0.0123", "0.781", "1.00", "9.99", "17.5", "176", "50000"]);
    }
}
