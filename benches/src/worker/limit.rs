//! The limit: the two requests that a lock and its unlock cannot do without, by hand.

use super::raw::RECORD;
use super::usage::Clock;
use super::wire::Wire;
use super::{answer, raw};
use crate::Result;
use serde_json::Value;
use std::io;

pub(super) fn serve(endpoints: &str) -> Result<()> {
    let mut limit = Limit::new(endpoints)?;
    for command in io::stdin().lines() {
        let command = command?;
        let words: Vec<_> = command.split_whitespace().collect();
        answer(&match words[..] {
            ["loop", name, count] => limit.one_after_the_other(name, count.parse()?)?,
            _ => return Err(format!("no such command: {command}").into()),
        });
    }
    Ok(())
}

struct Limit {
    wire: Wire,
    lease: u64,
    epoch: (String, u64),
    next: u64,
}

impl Limit {
    fn new(endpoint: &str) -> Result<Self> {
        let mut wire = Wire::connect(endpoint)?;
        let granted = wire.call("/etcdserverpb.Lease/LeaseGrant", &number(1, raw::TTL as u64))?;
        let lease = number_in(&granted, 2)?;
        let epoch = format!("/limit/epoch/{lease:x}");
        let put = wire.call("/etcdserverpb.KV/Put", &[bytes(1, epoch.as_bytes()), number(3, lease)].concat())?;
        let revision = number_in(bytes_in(&put, 1)?, 3)?;
        Ok(Limit { wire, lease, epoch: (epoch, revision), next: 0 })
    }

    fn one_after_the_other(&mut self, name: &str, count: usize) -> Result<Value> {
        let clock = Clock::start();
        for _ in 0..count {
            let key = self.lock(name)?;
            self.unlock(&key)?;
        }
        Ok(clock.stop())
    }

    /// The same transaction as that of `raw`, whose words it is written in; but for what it would read if it failed.
    fn lock(&mut self, name: &str) -> Result<String> {
        self.next += 1;
        let prefix = format!("/limit/{name}/");
        let key = format!("{prefix}{:x}-{}", self.lease, self.next);
        let end = format!("/limit/{name}0");
        // Compare: which revision (created 1, modified 2), of which key, equal to what.
        let is_new = [number(2, 1), bytes(3, key.as_bytes()), number(5, 0)].concat();
        let is_unfenced = [number(2, 2), bytes(3, self.epoch.0.as_bytes()), number(6, self.epoch.1)].concat();
        let put = [bytes(1, key.as_bytes()), bytes(2, RECORD.as_bytes()), number(3, self.lease)].concat();
        // Limit 1, ascending, by create revision.
        let order = [number(3, 1), number(5, 1), number(6, 2)].concat();
        let oldest = [bytes(1, prefix.as_bytes()), bytes(2, end.as_bytes()), order].concat();
        let then = [bytes(2, &bytes(2, &put)), bytes(2, &bytes(1, &oldest))].concat();
        let txn = [bytes(1, &is_new), bytes(1, &is_unfenced), then].concat();
        match number_in(&self.wire.call("/etcdserverpb.KV/Txn", &txn)?, 2)? {
            1 => Ok(key),
            _ => Err("a new key was there already".into()),
        }
    }

    fn unlock(&mut self, key: &str) -> Result<()> {
        match number_in(&self.wire.call("/etcdserverpb.KV/DeleteRange", &bytes(1, key.as_bytes()))?, 2)? {
            1 => Ok(()),
            _ => Err("the key is gone".into()),
        }
    }
}

/// A field of a protobuf message that is a number.
fn number(field: u8, value: u64) -> Vec<u8> {
    [&[field << 3][..], &varint(value)].concat()
}

/// One that is bytes, a text or a message.
fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(value.len() as u64), value].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// What is in a field.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn find(mut message: &[u8], wanted: u64) -> Result<Field<'_>> {
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Number(value),
            2 => Field::Bytes(message.split_off(..value as usize).ok_or("a field is cut off")?),
            kind => return Err(format!("a field of kind {kind}").into()),
        };
        if tag >> 3 == wanted {
            return Ok(field);
        }
    }
    Err(format!("no field {wanted}").into())
}

fn number_in(message: &[u8], field: u64) -> Result<u64> {
    match find(message, field)? {
        Field::Number(number) => Ok(number),
        Field::Bytes(_) => Err("bytes where a number should be".into()),
    }
}

fn bytes_in(message: &[u8], field: u64) -> Result<&[u8]> {
    match find(message, field)? {
        Field::Bytes(bytes) => Ok(bytes),
        Field::Number(_) => Err("a number where bytes should be".into()),
    }
}

fn take_varint(message: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = message.split_off_first().ok_or("a number is cut off")?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".into())
}
