//! What goes on while something is harmed: locks that are held all the time, and locks that change hands.

use crate::measure::{Times, now};
use locker::{Client, Error, Guard, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Locks that are held all the time, each by a client of its own.
pub(crate) struct Steady {
    tasks: Vec<JoinHandle<Hold>>,
    guards: Vec<Arc<Guard>>,
    over: Arc<AtomicBool>,
}

/// What became of one of them.
struct Hold {
    lost: Option<Error>,
    risks: usize,
    least: Duration,
}

/// What became of them.
pub(crate) struct Steadiness {
    pub(crate) lost: Vec<Error>,
    /// How often one came to be at risk.
    pub(crate) risks: usize,
    /// The least that ever remained to one.
    pub(crate) least: Duration,
}

impl Steady {
    pub(crate) async fn hold(endpoints: &str, count: usize, ttl: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mut guards, mut tasks) = (Vec::new(), Vec::new());
        for n in 0..count {
            let client = Client::connect(endpoints).ttl(Duration::from_secs(ttl)).await.unwrap();
            let guard = Arc::new(client.lock(format!("steady-{n}")).await.unwrap());
            tasks.push(tokio::spawn(look_at(guard.clone(), over.clone())));
            guards.push(guard);
        }
        Steady { tasks, guards, over }
    }

    /// Until when each of them is held as things are.
    pub(crate) fn deadlines(&self) -> Vec<Duration> {
        self.guards.iter().map(|guard| now() + guard.remaining()).collect()
    }

    /// Waits until each has been renewed once more, or is lost.
    pub(crate) async fn renewed(&self) {
        let before = self.deadlines();
        let renewed = |(guard, before): (&Arc<Guard>, &Duration)| {
            !guard.held() || now() + guard.remaining() > *before + Duration::from_millis(100)
        };
        locker_harness::eventually("all are renewed", async || self.guards.iter().zip(&before).all(renewed)).await;
    }

    pub(crate) async fn end(self) -> Steadiness {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Steadiness { lost: Vec::new(), risks: 0, least: Duration::MAX };
        for task in self.tasks {
            let hold = task.await.unwrap();
            all.lost.extend(hold.lost);
            all.risks += hold.risks;
            all.least = all.least.min(hold.least);
        }
        all
    }
}

async fn look_at(guard: Arc<Guard>, over: Arc<AtomicBool>) -> Hold {
    let mut hold = Hold { lost: None, risks: 0, least: Duration::MAX };
    while !over.load(Ordering::Relaxed) {
        hold.least = hold.least.min(guard.remaining());
        tokio::select! {
            change = guard.changed() => match change {
                Some(change) if change.state == State::AtRisk => hold.risks += 1,
                Some(change) if change.state == State::Ended => {
                    hold.lost = change.error;
                    return hold;
                }
                _ => (),
            },
            () = sleep(Duration::from_millis(10)) => (),
        }
    }
    hold
}

/// A lock that is taken and given back all the time by one client or several.
pub(crate) struct Traffic {
    tasks: Vec<JoinHandle<Tally>>,
    over: Arc<AtomicBool>,
}

/// What one client saw of it.
#[derive(Default)]
pub(crate) struct Tally {
    /// How long each call took.
    pub(crate) calls: Times,
    /// When the lock was had.
    pub(crate) holds: Vec<Duration>,
    pub(crate) failed: Vec<Error>,
}

/// Who is inside, and with what token: at most one, and each with a greater one than the one before.
#[derive(Clone, Default)]
pub(crate) struct Crossing {
    inside: Arc<AtomicI64>,
    token: Arc<AtomicI64>,
}

impl Crossing {
    pub(crate) fn enter(&self, guard: &Guard) {
        let token = guard.token();
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
        assert!(self.token.swap(token, Ordering::SeqCst) < token, "tokens must rise");
    }

    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Traffic {
    /// All take the lock `name`, and pause so long between two times.
    pub(crate) fn start(clients: Vec<Client>, name: &str, pause: Duration) -> Self {
        let (over, crossing) = (Arc::new(AtomicBool::new(false)), Crossing::default());
        let tasks = clients
            .into_iter()
            .map(|client| tokio::spawn(run(client, name.to_string(), pause, crossing.clone(), over.clone())));
        Traffic { tasks: tasks.collect(), over }
    }

    /// What each of the clients saw.
    pub(crate) async fn end(self) -> Vec<Tally> {
        self.over.store(true, Ordering::Relaxed);
        let mut tallies = Vec::new();
        for task in self.tasks {
            tallies.push(task.await.unwrap());
        }
        tallies
    }
}

async fn run(client: Client, name: String, pause: Duration, crossing: Crossing, over: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    while !over.load(Ordering::Relaxed) {
        let asked = now();
        match client.lock(&name).await {
            Ok(guard) => {
                crossing.enter(&guard);
                let held = now();
                tally.calls.add(held - asked);
                tally.holds.push(held);
                crossing.leave();
                let unlocked = guard.unlock().await;
                tally.calls.add(now() - held);
                tally.failed.extend(unlocked.err());
            }
            Err(error) => tally.failed.push(error),
        }
        sleep(pause).await;
    }
    tally
}

impl Tally {
    /// The longest time in which nobody of these had the lock.
    pub(crate) fn silence(tallies: &[Tally]) -> Duration {
        let mut holds: Vec<_> = tallies.iter().flat_map(|tally| &tally.holds).copied().collect();
        holds.sort();
        holds.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    pub(crate) fn assert_none_failed(tallies: &[Tally]) {
        let failed: Vec<_> = tallies.iter().flat_map(|tally| &tally.failed).collect();
        assert!(failed.is_empty(), "{} public calls failed: {failed:?}", failed.len());
    }
}
