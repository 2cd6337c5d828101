//! What is done in each cycle: a pure function of the scenario, the seed and the number of the cycle.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::options::{Options, Scenario};

/// Between two kills, in ms.
const CRASH_WAIT: Range = (4_000, 20_000);
const CRASH_PAUSE: u64 = 15_000;
/// Every so many cycles of `crash` have the pause.
const CRASH_PAUSE_EVERY: u64 = 5;
/// `up` ends by itself when its broker dies for the third time within a minute, as documented.
const BROKER_KILLS_IN_A_ROW: usize = 2;
const KILLS_WAIT: Range = (2_000, 8_000);
/// Longer than a transaction may last (10 s) and the coordinator takes to notice (1 s).
const KILLS_PAUSE: Range = (12_000, 20_000);
const FILL_WAIT: Range = (3_000, 10_000);
const FULL: Range = (5_000, 40_000);
const SILENT_WAIT: Range = (2_000, 8_000);

type Range = (u64, u64);

/// One cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// From 1.
    pub number: u64,
    /// How long the load goes on before.
    pub wait_ms: u64,
    /// Then this happens.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What is done to an installation under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL.
    Kill {
        /// Who gets it.
        victim: Victim,
        /// How long hooklog stays away.
        pause_ms: u64,
    },
    /// A disk has no room left.
    Fill {
        /// Whose.
        disk: Disk,
        /// For so long.
        full_ms: u64,
    },
    /// SIGSTOP of the broker, then SIGCONT.
    Silence {
        /// After so long.
        stopped_ms: u64,
    },
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// Its broker lives on.
    Hooklog,
    /// `up` has to start it again.
    Broker,
    /// At once.
    Both,
}

/// Whose disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// The broker's, which holds the data directory, too.
    Broker,
    /// The processor's stores'.
    Store,
    /// Both.
    Both,
}

/// The cycles of a run, in their order.
pub fn cycles(options: &Options) -> Vec<Cycle> {
    let mut kills_in_a_row = 0;
    (1..=options.cycles)
        .map(|number| {
            let mut dice = Dice::new(options.seed, b"schedule", number);
            let (wait, fault) = match options.scenario {
                Scenario::Crash => (CRASH_WAIT, crash(number, kills_in_a_row < BROKER_KILLS_IN_A_ROW, &mut dice)),
                Scenario::Kills => (KILLS_WAIT, kill_both(options.seed, number, &mut dice)),
                Scenario::DiskFull => (FILL_WAIT, fill(number, &mut dice)),
                Scenario::Silent => (SILENT_WAIT, Fault::Silence { stopped_ms: options.stopped_s * 1_000 }),
            };
            let is_broker = matches!(fault, Fault::Kill { victim: Victim::Broker, .. });
            kills_in_a_row = if is_broker { kills_in_a_row + 1 } else { 0 };
            let wait_ms = hurried(dice.between(wait.0, wait.1), options.hurry);
            Cycle { number, wait_ms, fault }
        })
        .collect()
}

/// The short form waits a quarter of the time between two faults.
fn hurried(wait_ms: u64, hurry: bool) -> u64 {
    if hurry { wait_ms / 4 } else { wait_ms }
}

fn crash(number: u64, may_be_broker: bool, dice: &mut Dice) -> Fault {
    // The pause is hooklog's, so it has to be among those that are killed.
    let pauses = number.is_multiple_of(CRASH_PAUSE_EVERY);
    let all = [Victim::Hooklog, Victim::Both, Victim::Broker];
    let victim = dice.one_of(if pauses || !may_be_broker { &all[..2] } else { &all[..] });
    Fault::Kill { victim, pause_ms: if pauses { CRASH_PAUSE } else { 0 } }
}

/// One of two has the pause, so that it is half of all.
fn kill_both(seed: u64, number: u64, dice: &mut Dice) -> Fault {
    let first_of_pair = Dice::new(seed, b"pauses..", number.div_ceil(2)).below(2) == 0;
    let pauses = first_of_pair == (number % 2 == 1);
    let pause_ms = dice.between(KILLS_PAUSE.0, KILLS_PAUSE.1);
    Fault::Kill { victim: Victim::Both, pause_ms: if pauses { pause_ms } else { 0 } }
}

fn fill(number: u64, dice: &mut Dice) -> Fault {
    let disk = match number % 3 {
        1 => Disk::Broker,
        2 => Disk::Store,
        _ => Disk::Both,
    };
    Fault::Fill { disk, full_ms: dice.between(FULL.0, FULL.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(scenario: Scenario, seed: u64, cycles: u64) -> Vec<Fault> {
        let options = Options { seed, cycles, ..Options::of(scenario) };
        super::cycles(&options).into_iter().map(|cycle| cycle.fault).collect()
    }

    fn pause(fault: &Fault) -> u64 {
        let Fault::Kill { pause_ms, .. } = fault else { panic!("{fault:?} is no kill") };
        *pause_ms
    }

    #[test]
    fn a_seed_gives_the_same_cycles_however_many_are_wanted() {
        for scenario in [Scenario::Crash, Scenario::Kills, Scenario::DiskFull, Scenario::Silent] {
            let long = planned(scenario, 7, 40);
            assert_eq!(long[..25], planned(scenario, 7, 25));
            assert!(scenario == Scenario::Silent || long != planned(scenario, 8, 40));
        }
    }

    #[test]
    fn kills_of_crash_are_four_to_twenty_seconds_apart_and_each_fifth_has_a_pause_of_hooklog() {
        for cycle in cycles(&Options { cycles: 300, ..Options::of(Scenario::Crash) }) {
            assert!((4_000..=20_000).contains(&cycle.wait_ms), "{cycle:?}");
            let Fault::Kill { victim, pause_ms } = cycle.fault else { panic!("{cycle:?}") };
            assert_eq!(pause_ms, if cycle.number % 5 == 0 { 15_000 } else { 0 });
            assert!(pause_ms == 0 || victim != Victim::Broker, "{cycle:?}");
        }
    }

    #[test]
    fn every_victim_comes_often_and_the_broker_never_three_times_in_a_row() {
        let faults = planned(Scenario::Crash, 3, 300);
        let is =
            |wanted: Victim| move |fault: &&Fault| matches!(fault, Fault::Kill { victim, .. } if *victim == wanted);
        for victim in [Victim::Hooklog, Victim::Broker, Victim::Both] {
            assert!(faults.iter().filter(is(victim)).count() > 50, "{victim:?}");
        }
        assert!(faults.windows(3).all(|three| three.iter().filter(is(Victim::Broker)).count() < 3));
    }

    #[test]
    fn half_of_the_kills_of_both_have_a_pause_longer_than_a_transaction_may_last() {
        let faults = planned(Scenario::Kills, 5, 200);
        let pauses: Vec<_> = faults.iter().map(pause).filter(|pause| *pause > 0).collect();
        assert_eq!(pauses.len(), 100);
        assert!(pauses.iter().all(|pause| *pause > 11_000));
        let firsts = faults.chunks(2).filter(|pair| pause(&pair[0]) > 0).count();
        assert!((30..70).contains(&firsts), "the pause is always at the same place of its pair: {firsts}");
    }

    #[test]
    fn disks_are_filled_in_turn() {
        let faults = planned(Scenario::DiskFull, 1, 6);
        let disks: Vec<_> = faults
            .iter()
            .map(|fault| match fault {
                Fault::Fill { disk, full_ms } if (5_000..=40_000).contains(full_ms) => *disk,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(disks, [Disk::Broker, Disk::Store, Disk::Both, Disk::Broker, Disk::Store, Disk::Both]);
    }
}
