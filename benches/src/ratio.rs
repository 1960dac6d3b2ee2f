//! What is made of the figures of many rounds.
//!
//! Machines have good and bad moments that last longer than a round. So nothing is compared but what was measured in the
//! same round, and what is told is the median of these ratios, with the quartiles as their spread.

use crate::Result;

/// Has contestants take turns, each once in a round. Gives what each round gave, by contestant; a round before them is
/// the warm-up.
pub(crate) fn take_turns<T>(
    contestants: usize,
    rounds: usize,
    mut turn: impl FnMut(usize) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    each_round(contestants, 1, &mut turn)?;
    each_round(contestants, rounds, turn)
}

/// The same without a warm-up, where each round begins anew anyway.
pub(crate) fn each_round<T>(
    contestants: usize,
    rounds: usize,
    mut turn: impl FnMut(usize) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut results: Vec<Vec<T>> = (0..contestants).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for contestant in order(contestants, round) {
            results[contestant].push(turn(contestant)?);
        }
    }
    Ok(results)
}

/// Forwards and backwards, then the same with another one first: so that none gains by its place, by whom it comes after,
/// or by a machine that gets slower and slower.
fn order(contestants: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..contestants).map(|n| (round / 2 + n) % contestants).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// The ratios, round by round.
pub(crate) fn over(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    assert_eq!(ours.len(), theirs.len(), "of the same rounds");
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// The value that a part of all values do not exceed, between two of them if need be.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Jain's index of fairness: 1 if all got the same, one part of so many if one got everything.
pub(crate) fn fairness(shares: &[f64]) -> f64 {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
    sum * sum / (shares.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(quantile(&[0.0, 10.0, 20.0, 30.0, 40.0], 0.25), 10.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn fairness_of_equal_and_of_one() {
        assert_eq!(fairness(&[5.0, 5.0, 5.0]), 1.0);
        assert_eq!(fairness(&[9.0, 0.0, 0.0]), 1.0 / 3.0);
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let mut turns = 0;
        let results = take_turns(2, 1, |_| {
            turns += 1;
            Ok(turns)
        });
        assert_eq!(results.unwrap(), [[3], [4]]);
    }

    #[test]
    fn each_is_the_first_and_comes_after_others() {
        let orders = [0, 1, 2, 3].map(|round| order(3, round));
        assert_eq!(orders, [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]]);
    }
}
