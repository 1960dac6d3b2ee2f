//! A network that loses packets.

use std::process::Command;

/// A network namespace of its own, where only a loopback is and that loses packets: for a process and what it starts.
/// It needs no root where users may make namespaces, has no name, and is gone with its last process.
#[derive(Debug)]
pub struct Lossy {
    percent: u32,
}

/// Run in the namespace before the command: with a loopback, then with the loss. Packets are dropped as they
/// arrive: of one that cannot even leave, its sender is told.
const SET_UP: &str = r#"
set -e
ip link set lo up
nft add table inet loss
nft add chain inet loss input '{ type filter hook input priority 0; }'
nft add rule inet loss input numgen random mod 100 \< "$0" counter drop
exec "$@"
"#;

impl Lossy {
    /// Fails, with the reason, where that cannot be had.
    pub fn new(percent: u32) -> Result<Self, String> {
        let lossy = Lossy { percent };
        let output = lossy.command("true").output().map_err(|error| format!("unshare: {error}"))?;
        match output.status.success() {
            true => Ok(lossy),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        }
    }

    /// A command to be run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", SET_UP, &self.percent.to_string(), program]);
        // As root has it, who may not have it in the PATH.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }
}
