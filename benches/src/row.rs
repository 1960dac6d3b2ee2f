//! A row of the table: one ratio, or one figure of ours, and the goal for it.

use crate::ratio::{median, over, quantile};
use serde::{Deserialize, Serialize};

/// What a ratio is of. It is ours to theirs, but for `FASTER`, which says how often our time goes into theirs.
pub(crate) const TIME: &str = "× time";
pub(crate) const CPU: &str = "× CPU";
pub(crate) const RATE: &str = "× rate";
pub(crate) const FASTER: &str = "× faster";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) workload: String,
    /// Beside whom; empty if the figure is of ours alone.
    pub(crate) peer: String,
    /// What the goal is about, in this unit: the median of all rounds.
    pub(crate) ratio: f64,
    pub(crate) unit: String,
    /// From the lower quartile to the upper, as a part of the median.
    pub(crate) spread: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) rounds: usize,
    pub(crate) goal: Option<String>,
    pub(crate) met: Option<bool>,
    /// The version of etcd.
    pub(crate) server: String,
    /// What it ran on.
    #[serde(default)]
    pub(crate) machine: String,
    /// The two sides, as they were on this machine.
    pub(crate) value: Option<f64>,
    pub(crate) peer_value: Option<f64>,
    pub(crate) value_unit: Option<String>,
    /// How many callers there were, where that makes a curve.
    pub(crate) callers: Option<usize>,
}

impl Row {
    /// A figure of ours, or a ratio, by rounds.
    pub(crate) fn new(id: &str, workload: &str, peer: &str, unit: &str, rounds: &[f64]) -> Self {
        let (ratio, low, high) = (median(rounds), quantile(rounds, 0.25), quantile(rounds, 0.75));
        Row {
            id: id.into(),
            workload: workload.into(),
            peer: peer.into(),
            ratio: short(ratio),
            unit: unit.into(),
            spread: if high > low { short((high - low) / ratio) } else { 0.0 },
            low: short(low),
            high: short(high),
            rounds: rounds.len(),
            goal: None,
            met: None,
            server: String::new(),
            machine: String::new(),
            value: None,
            peer_value: None,
            value_unit: None,
            callers: None,
        }
    }

    /// A ratio, of what both sides came to in the same rounds.
    pub(crate) fn ratio(id: &str, workload: &str, peer: &str, unit: &str, sides: Sides) -> Self {
        let rounds = match unit {
            FASTER => over(sides.theirs, sides.ours),
            _ => over(sides.ours, sides.theirs),
        };
        Row::new(id, workload, peer, unit, &rounds).with(sides)
    }

    /// A figure of ours; that of a peer is told with it, but the goal is not about it.
    pub(crate) fn figure(id: &str, workload: &str, sides: Sides) -> Self {
        Row::new(id, workload, "", sides.unit, sides.ours).with(sides)
    }

    fn with(self, sides: Sides) -> Self {
        Row {
            value: Some(short(median(sides.ours))),
            peer_value: Some(short(median(sides.theirs))),
            value_unit: Some(sides.unit.into()),
            ..self
        }
    }

    /// A figure that is of all rounds together, in place of the median of what each came to.
    pub(crate) fn in_all(self, figure: f64) -> Self {
        Row { ratio: short(figure), ..self }
    }

    pub(crate) fn at_most(self, goal: f64) -> Self {
        Row { goal: Some(format!("≤ {goal}")), met: Some(self.ratio <= goal), ..self }
    }

    pub(crate) fn at_least(self, goal: f64) -> Self {
        Row { goal: Some(format!("≥ {goal}")), met: Some(self.ratio >= goal), ..self }
    }

    pub(crate) fn of_callers(self, callers: usize) -> Self {
        Row { callers: Some(callers), ..self }
    }
}

/// What both sides came to, round by round.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) ours: &'a [f64],
    pub(crate) theirs: &'a [f64],
    pub(crate) unit: &'a str,
}

/// Four digits: the rest is noise.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a number")
}
