//! One run: a cluster, workers, a witness and a nemesis, and what the checks say of it.

use crate::Result;
use crate::fleet::{Place, Worker};
use crate::nemesis::Nemesis;
use crate::settings::PREFIX;
use crate::witness::Witness;
use clap::Args;
use etcd_client::{Client, GetOptions};
use locker_check::history::{self, History};
use locker_check::report::Report;
use locker_check::run::Run;
use locker_harness::Cluster;
use locker_harness::interrupt::{interrupted, listen};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// At the beginning there are no faults, so that the load is known that there is without.
const WARM_UP: Duration = Duration::from_secs(6);
/// At the end neither, so that all that was begun can end.
const COOL_DOWN: Duration = Duration::from_secs(4);
/// How long dead workers may leave keys behind: until their lease has ended, which a new leader grants once more.
const LEASES: Duration = Duration::from_secs(25);
const TICK: Duration = Duration::from_millis(100);

/// Has programs in all languages use locks under faults, and checks what they saw.
#[derive(Args, Debug)]
pub(crate) struct Drive {
    /// For how long, in seconds.
    seconds: u64,
    /// The languages.
    #[arg(long, value_delimiter = ',', default_value = "rust,c,cpp,go,python,command")]
    languages: Vec<String>,
    /// Where the workers are that `run.sh` builds.
    #[arg(long, default_value = "target/checker")]
    workers: PathBuf,
    /// The Python that has the binding.
    #[arg(long, default_value = "target/venv/bin/python")]
    python: PathBuf,
    /// How many locks there are.
    #[arg(long, default_value_t = 8)]
    locks: u32,
    /// How many clients each worker in Rust has. With many and one lock, each follows the one before it.
    #[arg(long, default_value_t = 2)]
    clients: u32,
    /// How many tasks share them. With many a client, they stand in line and travel together.
    #[arg(long, default_value_t = 6)]
    tasks: u32,
    /// What is random follows from it; what processes do in the meantime does not.
    #[arg(long)]
    seed: Option<u64>,
    /// Fewer holds are a failure.
    #[arg(long, default_value_t = 0)]
    least_holds: usize,
    /// Fewer faults are a failure.
    #[arg(long, default_value_t = 0)]
    least_faults: usize,
    /// Keeps the history here.
    #[arg(long)]
    keep: Option<PathBuf>,
}

impl Drive {
    /// Gives whether every promise was kept.
    pub(crate) fn run(self) -> Result<bool> {
        listen()?;
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        fastrand::seed(seed);
        println!("seed               {seed}");
        let directory = tempfile::Builder::new().prefix("locker-check-").tempdir()?;
        let complaints = self.drive(directory.path())?;
        let file = directory.path().join("history");
        if let Some(keep) = &self.keep {
            std::fs::copy(&file, keep)?;
        }
        let records = history::read(&file).map_err(|damage| format!("the history {damage}"))?;
        let begun = Instant::now();
        let report = Report::new(&Run::new(records));
        println!("{report}\nchecked in         {} ms", begun.elapsed().as_millis());
        complaints.iter().for_each(|complaint| println!("COMPLAINT {complaint}"));
        Ok(self.is_enough(&report) && report.violations.is_empty() && complaints.is_empty())
    }

    fn is_enough(&self, report: &Report) -> bool {
        let (holds, faults, languages) = (report.figures.holds(), report.figures.faults(), report.figures.languages());
        let enough = holds >= self.least_holds && faults >= self.least_faults && languages == self.languages.len();
        if !enough {
            println!("NOT ENOUGH: {holds} holds under {faults} faults in {languages} languages");
        }
        enough
    }

    /// Does everything, and gives the complaints of workers that did not end well.
    fn drive(&self, directory: &Path) -> Result<Vec<String>> {
        let mut cluster = Cluster::start();
        let direct = cluster.direct_endpoints();
        let (workers, python) = (self.workers.as_path(), self.python.as_path());
        let (locks, clients, tasks) = (self.locks, self.clients.max(1), self.tasks);
        let place = Place { directory, endpoints: cluster.endpoints(), locks, clients, tasks, workers, python };
        let nemesis = Nemesis::new(place.history())?;
        let (done, end) = (Arc::new(AtomicBool::new(false)), Instant::now() + Duration::from_secs(self.seconds));
        let witness = watch(&direct, &place, done.clone())?;
        let workers = self.start(&place)?;
        let complaints = thread::scope(|scope| -> Result<Vec<String>> {
            scope.spawn(|| nemesis.watch_the_machine(&done));
            let faults = self.harm(scope, &nemesis, &mut cluster, &workers, &direct, end);
            // Whatever came of it, nothing may go on.
            nemesis.stop();
            let complaints = faults.and_then(|()| finish(&workers, &direct));
            done.store(true, Ordering::Relaxed);
            complaints
        })?;
        let missed = witness.join().map_err(|_| "the witness has panicked")??;
        println!("witness            had missed {missed} events, which were found at the end");
        Ok(complaints)
    }

    /// Workers with a short lease and a long one in each language.
    fn start(&self, place: &Place) -> Result<Vec<Worker>> {
        let ttls = [2, 3, 10].map(Duration::from_secs);
        let all = self.languages.iter().flat_map(|language| ttls.map(|ttl| (language, ttl)));
        all.enumerate().map(|(number, (language, ttl))| Worker::start(place, number, language, ttl)).collect()
    }

    fn harm<'scope, 'env>(
        &self,
        scope: &'scope thread::Scope<'scope, 'env>,
        nemesis: &'env Nemesis,
        cluster: &'env mut Cluster,
        workers: &'env [Worker],
        direct: &str,
        end: Instant,
    ) -> Result<()> {
        sleep(WARM_UP);
        let endpoints: Vec<String> = direct.split(',').map(String::from).collect();
        let locks = self.locks;
        // A seed for each, since each thread has dice of its own.
        let begin = |harm: Box<dyn FnOnce() -> Result<()> + Send + 'scope>| {
            let seed = fastrand::u64(..);
            scope.spawn(move || {
                fastrand::seed(seed);
                harm()
            })
        };
        let mut faults = vec![
            begin(Box::new(move || nemesis.harm_cluster(cluster))),
            begin(Box::new(move || runtime()?.block_on(nemesis.free_by_hand(&endpoints, locks)))),
        ];
        // Each has workers of its own, so that no two faults meet in one.
        for some in workers.chunks(workers.len().div_ceil(3)) {
            faults.push(begin(Box::new(move || nemesis.harm_workers(some))));
        }
        while Instant::now() + COOL_DOWN < end && !interrupted() && faults.iter().all(|fault| !fault.is_finished()) {
            revive(workers)?;
            sleep(TICK);
        }
        nemesis.stop();
        for fault in faults {
            fault.join().map_err(|_| "the nemesis has panicked")??;
        }
        if interrupted() {
            return Err("interrupted".into());
        }
        revive(workers)?;
        sleep(end.saturating_duration_since(Instant::now()).max(COOL_DOWN / 2));
        Ok(())
    }
}

fn revive(workers: &[Worker]) -> Result<()> {
    workers.iter().try_for_each(|worker| worker.revive().map(drop))
}

/// Ends the workers, and waits until nothing is left of those that were killed.
fn finish(workers: &[Worker], endpoints: &str) -> Result<Vec<String>> {
    workers.iter().for_each(Worker::end);
    let mut complaints = Vec::new();
    for worker in workers {
        complaints.extend(worker.ended()?);
    }
    complaints.extend(runtime()?.block_on(left_behind(endpoints))?);
    Ok(complaints)
}

/// Waits until there are no keys, and complains of those that stay. There is no event for it that could not be missed.
async fn left_behind(endpoints: &str) -> Result<Option<String>> {
    let mut client = Client::connect(endpoints.split(',').collect::<Vec<_>>(), None).await?;
    let end = Instant::now() + LEASES;
    loop {
        let found = client.get(PREFIX, Some(GetOptions::new().with_prefix().with_keys_only())).await?;
        let keys: Vec<_> = found.kvs().iter().map(|key| String::from_utf8_lossy(key.key())).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        if Instant::now() > end {
            return Ok(Some(format!("left {LEASES:?} after all workers have ended: {}", keys.join(", "))));
        }
        tokio::time::sleep(TICK).await;
    }
}

fn watch(endpoints: &str, place: &Place, done: Arc<AtomicBool>) -> Result<thread::JoinHandle<Result<usize>>> {
    let witness = Witness::new(endpoints, History::open(&place.history())?);
    Ok(thread::spawn(move || runtime()?.block_on(witness.watch(done))))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
