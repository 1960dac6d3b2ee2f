//! Three etcds that are one cluster.

use crate::etcd::{Plan, identity};
use crate::http::{Status, status};
use crate::links::Links;
use crate::{Etcd, Mood, Proxy, free_port, wait_until};

const SIZE: usize = 3;

/// A cluster of three members. Clients may go to the members directly, or through the door of each: a [`Proxy`].
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Etcd>,
    doors: Vec<Proxy>,
    links: Links,
}

impl Cluster {
    /// Starts one and waits until all members answer.
    pub fn start() -> Self {
        Cluster::with(&[])
    }

    /// The same with flags for each member.
    pub fn with(flags: &[&str]) -> Self {
        for _ in 0..5 {
            let mut cluster = Cluster::spawn(flags);
            if cluster.members.iter_mut().all(Etcd::becomes_healthy) {
                return cluster;
            }
            // A port may have been taken meanwhile.
            cluster.members.iter().for_each(Etcd::show_log);
        }
        panic!("the cluster does not start; its logs are above");
    }

    fn spawn(flags: &[&str]) -> Self {
        let ports: Vec<_> = (0..SIZE).map(|_| free_port()).collect();
        let links = Links::start(&ports);
        let name = |member| format!("m{member}");
        let all: Vec<_> = (0..SIZE).map(|member| format!("{}={}", name(member), Links::address(member))).collect();
        let members = ports.iter().enumerate().map(|(member, port)| {
            let identity = identity(&name(member), &Links::address(member), &all.join(","));
            let plan = Plan::new(*port, identity, flags);
            Etcd::spawn(Plan { proxy: Some(links.proxy_of(member)), ..plan })
        });
        let members: Vec<_> = members.collect();
        let doors = members.iter().map(|member| Proxy::start(&member.endpoint())).collect();
        Cluster { members, doors, links }
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// A member, to ask it something or to harm it.
    pub fn member(&mut self, member: usize) -> &mut Etcd {
        &mut self.members[member]
    }

    /// The door of a member.
    pub fn door(&self, member: usize) -> &Proxy {
        &self.doors[member]
    }

    /// The doors of these members, as a client wants them.
    pub fn doors(&self, members: impl IntoIterator<Item = usize>) -> String {
        let endpoints: Vec<_> = members.into_iter().map(|member| self.doors[member].endpoint()).collect();
        endpoints.join(",")
    }

    /// All doors.
    pub fn endpoints(&self) -> String {
        self.doors(0..SIZE)
    }

    /// All members, past the doors.
    pub fn direct_endpoints(&self) -> String {
        let endpoints: Vec<_> = self.members.iter().map(Etcd::endpoint).collect();
        endpoints.join(",")
    }

    /// Has nothing come through between a member and the others. Its clients reach it as before.
    pub fn isolate(&self, member: usize) {
        self.links.set(member, Mood::HOLE);
    }

    /// Ends `isolate`.
    pub fn heal(&self, member: usize) {
        self.links.set(member, Mood::NORMAL);
    }

    /// The leader of those who answer, once there is one.
    pub fn leader(&self) -> usize {
        self.await_leader(|_| true)
    }

    /// The leader that follows one that was harmed.
    pub fn leader_after(&self, harmed: usize) -> usize {
        self.await_leader(|leader| leader != harmed)
    }

    fn await_leader(&self, is_wanted: impl Fn(usize) -> bool) -> usize {
        let mut leader = None;
        wait_until("there is such a leader", || {
            let statuses: Vec<_> = self.members.iter().map(|member| status(member.port())).collect();
            leader = leader_of(&statuses).filter(|leader| is_wanted(*leader));
            leader.is_some()
        });
        leader.expect("waited for")
    }

    /// The members that do not lead.
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..SIZE).filter(|member| *member != leader).collect()
    }

    /// Waits until all members answer, and gives the leader.
    pub fn healthy(&mut self) -> usize {
        for (n, member) in self.members.iter_mut().enumerate() {
            assert!(member.becomes_healthy(), "member {n} does not answer");
        }
        self.leader()
    }
}

/// The one whom the latest term knows as such, himself included: one that was deposed may not know it yet.
fn leader_of(statuses: &[Option<Status>]) -> Option<usize> {
    let latest = statuses.iter().flatten().max_by_key(|status| status.term)?;
    let leads = |status: &Status| status.member == latest.leader && status.leader == latest.leader;
    statuses.iter().position(|status| status.as_ref().is_some_and(leads))
}
