//! The things that locks protect, for the worker in Rust and for what commands run; the others have them in `record.h`
//! and `worker.py`.

use crate::settings::Settings;
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, GetOptions, Txn, TxnOp};
use locker_check::record::{Kind, Record, now};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How long a write to etcd may take, so that nobody waits for it in vain.
const LIMIT: Duration = Duration::from_secs(2);

impl Settings {
    fn thing(&self, thing: &str, lock: u32) -> io::Result<File> {
        let path = self.things.join(format!("{thing}-{lock}"));
        File::options().read(true).append(thing == "fenced").write(true).create(true).open(path)
    }

    /// The fenced file takes a token, unless it had a higher one. What became of it is recorded in the file's order.
    pub(crate) fn write_fenced(&self, hold: Record) -> io::Result<()> {
        let mut file = self.thing("fenced", hold.lock)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut last = [0; 8];
        if let Some(place) = file.metadata()?.len().checked_sub(8) {
            file.read_exact_at(&mut last, place)?;
        }
        let taken = hold.token >= u64::from_le_bytes(last);
        if taken {
            file.write_all(&hold.token.to_le_bytes())?;
        }
        let kind = if taken { Kind::FencedOk } else { Kind::FencedStale };
        self.history.append(&Record { kind, at: now(), ..hold })
    }

    /// The naked counter: nothing but the lock protects what lies between reading and writing it.
    pub(crate) fn read_naked(&self, lock: u32) -> io::Result<u64> {
        let mut number = [0; 8];
        let length = self.thing("naked", lock)?.read_at(&mut number, 0)?;
        Ok(if length == 8 { u64::from_le_bytes(number) } else { 0 })
    }

    pub(crate) fn write_naked(&self, hold: Record, number: u64) -> io::Result<()> {
        self.thing("naked", hold.lock)?.write_all_at(&number.to_le_bytes(), 0)?;
        self.history.append(&Record { kind: Kind::Naked, at: now(), revision: number, ..hold })
    }

    /// A write to etcd that is done only if the key of the hold is still there, and recorded if its outcome is known.
    pub(crate) async fn write_guarded(&self, hold: Record) -> io::Result<()> {
        let Ok(Ok(outcome)) = tokio::time::timeout(LIMIT, self.guarded(&hold)).await else { return Ok(()) };
        let (kind, revision) = match outcome {
            Some(revision) => (Kind::GuardOk, revision as u64),
            None => (Kind::GuardLost, 0),
        };
        self.history.append(&Record { kind, at: now(), revision, ..hold })
    }

    /// Gives the revision of the write. The lock's key is whichever has the token as its create revision.
    async fn guarded(&self, hold: &Record) -> Result<Option<i64>, etcd_client::Error> {
        let token = hold.token as i64;
        let endpoints: Vec<&str> = self.endpoints.split(',').collect();
        let endpoint = endpoints[fastrand::usize(..endpoints.len())];
        let options = ConnectOptions::new().with_connect_timeout(LIMIT);
        let mut client = Client::connect([endpoint], Some(options)).await?;
        let queue = GetOptions::new().with_prefix().with_min_create_revision(token).with_max_create_revision(token);
        let found = client.get(format!("/check/L{}/", hold.lock), Some(queue)).await?;
        let Some(key) = found.kvs().first() else { return Ok(None) };
        let mine = Compare::create_revision(key.key(), CompareOp::Equal, token);
        let write = TxnOp::put(format!("/guarded/{}", hold.lock), token.to_string(), None);
        let done = client.txn(Txn::new().when([mine]).and_then([write])).await?;
        Ok(done.header().filter(|_| done.succeeded()).map(|header| header.revision()))
    }
}
