//! What a lock protects: two resources that refuse whoever comes with an older token than somebody before him.

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// A file of tokens, one a line. Says whether the write was accepted.
pub(crate) fn write(path: &Path, token: i64) -> bool {
    let mut file = File::options().read(true).append(true).create(true).open(path).expect("the file can be opened");
    file.lock().expect("the file can be locked");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("the file can be read");
    let last = text.lines().last().map_or(0, |line| line.parse().expect("a token"));
    if token < last {
        return false;
    }
    writeln!(file, "{token}").expect("the file can be written");
    true
}

/// A key that is only written while the key that holds the lock has this token. Says whether it was.
pub(crate) async fn put(endpoints: &str, holding: &str, token: i64) -> bool {
    let endpoints: Vec<_> = endpoints.split(',').collect();
    let mut client = Client::connect(&endpoints, None).await.expect("etcd answers");
    let held = Compare::create_revision(holding, CompareOp::Equal, token);
    let put = TxnOp::put("/guarded", token.to_string(), None);
    client.txn(Txn::new().when([held]).and_then([put])).await.expect("etcd answers").succeeded()
}
