//! Two processes that do something to the same worker.

use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;

use super::child::Child;
use super::lane::{Catalog, Courses, Flavor, Lane, WORKER};
use super::report::{Finding, Row, Standing, run_all};

/// What the second process does while the first provisions the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Same,
    OlderVersion,
    Remove,
    Rollback,
    Gc,
}

const OTHERS: [Other; 5] = [
    Other::Same,
    Other::OlderVersion,
    Other::Remove,
    Other::Rollback,
    Other::Gc,
];

#[derive(Debug)]
struct Case {
    other: Other,
    had_old: bool,
    /// How much later the second starts.
    delay: Duration,
}

/// Lets two processes race `count` times.
pub(crate) fn run(lanes: &[Lane<'_>], courses: &Courses, count: usize, rng: &mut Rng) -> Row {
    let cases: Vec<Case> = (0..count)
        .map(|index| Case {
            other: OTHERS[index % OTHERS.len()],
            had_old: rng.bool(),
            delay: courses.binary.total.mul_f64(rng.f64()),
        })
        .collect();
    let title = "two processes race (same, older, remove, rollback, gc)";
    run_all(lanes, title, &cases, race)
}

fn race(lane: &Lane<'_>, case: &Case) -> Result<Finding> {
    lane.reset(case.had_old)?;
    let other = match case.other {
        Other::Same => lane.provision(Catalog::New, Flavor::Binary),
        Other::OlderVersion => lane.provision(Catalog::Old, Flavor::Binary),
        Other::Remove => lane.worker(&["remove", WORKER]),
        Other::Rollback => lane.worker(&["rollback", WORKER]),
        Other::Gc => lane.worker(&["gc", "--keep", "0"]),
    };
    let first = Child::start(lane.provision(Catalog::New, Flavor::Binary))?;
    std::thread::sleep(case.delay);
    let second = Child::start(other)?;
    let (first, second) = (first.finish()?, second.finish()?);
    let mut finding = Finding::default();
    if !first.status.success() {
        finding.lose(format!("the first process: {}", first.describe()));
    }
    // There may be nothing to remove yet, and no older version to go back to.
    let may_be_refused = matches!(case.other, Other::Remove | Other::Rollback);
    let refused = may_be_refused && second.status.code() == Some(1);
    if !second.status.success() && !refused {
        finding.lose(format!("the second process: {}", second.describe()));
    }
    let early = (|| {
        let standing = lane.standing()?;
        ensure!(
            standing != Standing::Nothing || case.other == Other::Remove,
            "nothing is installed"
        );
        lane.verify()?;
        finding
            .left
            .extend(lane.site.left_behind(&[WORKER], false)?);
        Ok(standing)
    })();
    match early {
        Ok(standing) => finding.standing = Some(standing),
        Err(error) => finding.lose(format!("{error:#}")),
    }
    let afterwards = lane.judge_any(Flavor::Binary);
    finding.losses.extend(afterwards.losses);
    finding.left.extend(afterwards.left);
    Ok(finding)
}
