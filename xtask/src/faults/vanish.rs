//! Servers that vanish.

use std::time::Duration;

use anyhow::Result;
use e2e_tests::proxy::Manner;
use fastrand::Rng;
use worker_provisioner::ProvisionPhase;

use super::child::Child;
use super::lane::{Catalog, Course, Courses, Flavor, Lane};
use super::report::{Finding, Row, run_all, thin};

/// A provision that still waits for a server after this long is interrupted, as a person would.
const IMPATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy)]
enum Server {
    Catalog,
    Source,
}

#[derive(Debug)]
struct Case {
    server: Server,
    manner: Manner,
    /// When it vanishes: before the start, or when a phase begins.
    phase: Option<ProvisionPhase>,
    flavor: Flavor,
    had_old: bool,
}

/// Lets the catalog and the servers of the sources vanish at every phase, in every manner.
pub(crate) fn run(lanes: &[Lane<'_>], courses: &Courses, most: usize, rng: &mut Rng) -> Vec<Row> {
    let shares = [
        (Flavor::Binary, &courses.binary, most),
        (Flavor::Source, &courses.source, most / 3),
    ];
    let mut rows = Vec::new();
    for (server, title) in [
        (Server::Catalog, "catalog vanishes"),
        (Server::Source, "source server vanishes"),
    ] {
        let mut cases = Vec::new();
        for (flavor, course, most) in shares {
            let mut some = all(server, flavor, course, rng);
            thin(&mut some, most, rng);
            cases.extend(some);
        }
        rows.push(run_all(lanes, title, &cases, vanish));
    }
    rows
}

fn all(server: Server, flavor: Flavor, course: &Course, rng: &mut Rng) -> Vec<Case> {
    let phases = course.phases.iter().map(|(phase, _)| Some(*phase));
    let mut cases = Vec::new();
    for phase in std::iter::once(None).chain(phases) {
        let after = 1 << rng.u32(0..20);
        for manner in [
            Manner::Close,
            Manner::Silent,
            Manner::Fail,
            Manner::CloseAfter(after),
        ] {
            cases.push(Case {
                server,
                manner,
                phase,
                flavor,
                had_old: rng.bool(),
            });
        }
    }
    cases
}

fn vanish(lane: &Lane<'_>, case: &Case) -> Result<Finding> {
    lane.reset(case.had_old)?;
    let set = |manner| match case.server {
        Server::Catalog => lane.catalog_proxy.set(manner),
        Server::Source => {
            lane.git_proxy.set(manner);
            lane.release_proxy.set(manner);
        }
    };
    if case.phase.is_none() {
        set(case.manner);
    }
    let mut child = Child::start(lane.provision(Catalog::New, case.flavor))?;
    if let Some(phase) = case.phase
        && child.until(phase)
    {
        child.stopped(|| set(case.manner));
    }
    let ended = child.finish_or_interrupt(IMPATIENCE)?;
    let early = lane.left_at_once(&ended);
    set(Manner::Serve);
    Ok(lane.judge(case.flavor, case.had_old).after(early))
}
