//! SIGKILL at random instants.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use worker_provisioner::ProvisionPhase;

use super::child::Child;
use super::lane::{Catalog, Course, Courses, Flavor, Lane};
use super::report::{Finding, Row, run_all};

/// When the process is killed.
#[derive(Debug, Clone, Copy)]
enum Instant {
    /// So long after its start.
    AfterStart(Duration),
    /// So long after a phase begins.
    InPhase(ProvisionPhase, Duration),
}

#[derive(Debug)]
struct Case {
    flavor: Flavor,
    had_old: bool,
    instant: Instant,
}

/// Kills `count` provisions.
///
/// Every other instant is uniform over the whole run; the others are uniform within a phase, each
/// phase being as likely as any other, or the short ones would hardly ever be hit.
pub(crate) fn run(lanes: &[Lane<'_>], courses: &Courses, count: usize, rng: &mut Rng) -> Vec<Row> {
    let mut rows = Vec::new();
    for flavor in [Flavor::Binary, Flavor::Source] {
        let course = courses.of(flavor);
        for had_old in [false, true] {
            // A quarter each, whatever the remainder.
            let quarter = (count + 3 - rows.len()) / 4;
            let cases: Vec<Case> = (0..quarter)
                .map(|index| Case {
                    flavor,
                    had_old,
                    instant: instant(course, index % 2 == 0, rng),
                })
                .collect();
            let title = format!(
                "SIGKILL, {} worker, {}",
                if flavor == Flavor::Binary {
                    "binary"
                } else {
                    "source"
                },
                if had_old {
                    "an older one installed"
                } else {
                    "none installed"
                }
            );
            rows.push(run_all(lanes, &title, &cases, kill));
        }
    }
    rows
}

fn instant(course: &Course, anywhere: bool, rng: &mut Rng) -> Instant {
    let within = |length: Duration, rng: &mut Rng| length.mul_f64(rng.f64());
    if anywhere || course.phases.is_empty() {
        return Instant::AfterStart(within(course.total, rng));
    }
    let (phase, length) = course.phases[rng.usize(..course.phases.len())];
    Instant::InPhase(phase, within(length.max(Duration::from_millis(1)), rng))
}

fn kill(lane: &Lane<'_>, case: &Case) -> Result<Finding> {
    lane.reset(case.had_old)?;
    let mut child = Child::start(lane.provision(Catalog::New, case.flavor))?;
    let pause = match case.instant {
        Instant::AfterStart(pause) => pause,
        Instant::InPhase(phase, pause) => {
            child.until(phase);
            pause
        }
    };
    std::thread::sleep(pause);
    child.kill()?;
    Ok(lane.judge(case.flavor, case.had_old))
}
