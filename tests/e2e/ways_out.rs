//! Every way out that an error names works as it is written, also on a local installation whose broker is down.

use hooklog_test_support::Site;
use serde_json::Value;

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
const EVENTS: i64 = 120;

/// An installation that was used, and whose `up` and broker are gone: in order, or by a kill.
fn used(in_order: bool) -> Site {
    let site = Site::alone(HOOKLOG);
    let up = site.up();
    site.send(&["--events", &EVENTS.to_string(), "--duplicates", "0.1", "--seed", "3"]);
    site.processed(up.brokers());
    if in_order {
        assert!(up.program.stop().success());
    } else {
        let broker = up.broker();
        up.program.kill();
        broker.kill();
    }
    site
}

fn is_left_alone(site: &Site) {
    assert!(site.recorded_broker().is_none(), "its broker lives on");
    assert!(!site.data_dir().join("broker/process.json").exists(), "its broker was not stopped in order");
}

#[test]
fn tools_start_the_local_broker_for_themselves_and_stop_it_in_order() {
    for in_order in [true, false] {
        let site = used(in_order);
        let audit = site.run(&["audit", "--json"]);
        assert_eq!((audit.code, &audit.json()["events"]), (Some(0), &Value::from(EVENTS)), "{audit:?}");
        is_left_alone(&site);
        let repair = site.run(&["repair", "--apply", "--json"]);
        assert_eq!((repair.code, &repair.json()["missing"]), (Some(0), &Value::from(0)), "{repair:?}");
        is_left_alone(&site);
        for flags in [&["offsets", "repair", "--json"][..], &["offsets", "repair", "--apply", "--json"]] {
            let offsets = site.run(flags);
            assert_eq!((offsets.code, &offsets.json()["changes"]), (Some(0), &Value::from(0)), "{offsets:?}");
            is_left_alone(&site);
        }
        let up = site.up();
        assert_eq!(site.is_exact(up.brokers()), usize::try_from(EVENTS).unwrap());
    }
}

#[test]
fn a_directory_without_a_broker_gets_none_and_one_in_use_is_not_touched() {
    let site = Site::alone(HOOKLOG);
    let nothing = site.run(&["audit"]);
    assert_eq!(nothing.code, Some(3), "{nothing:?}");
    assert!(!site.data_dir().join("broker").exists(), "a tool that looks must leave no trace");
    let up = site.up();
    site.send(&["--events", "20"]);
    let refused = site.run(&["offsets", "repair"]);
    assert!(refused.code == Some(3) && refused.stderr.contains("is running"), "{refused:?}");
    assert!(up.broker().is_alive());
    site.audit();
}
