//! `kill -9` of hooklog and its broker together, under load: the transaction coordinator ends what was open in every partition.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hooklog_faults::logs::Logs;
use hooklog_test_support::{Port, Site, Up, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Asks for more, such as 200.
const VARIABLE: &str = "HOOKLOG_KILLS";
const KILLS: usize = 4;
/// Longer than a transaction may be open: the coordinator then aborts at its start what was open at the kill.
const PAUSE: Duration = Duration::from_secs(13);
/// Acknowledged before each kill, so that transactions are open in all partitions.
const ACKED: usize = 200;

/// Sends all the time, as Stripe does, whoever is there to take it.
struct Load(Child);

impl Load {
    fn on(site: &Site, up: &Up) -> Self {
        let url = format!("{}/webhooks/stripe", up.address("ingest"));
        let secret = site.data_dir().join("secrets/stripe");
        let flags =
            ["--events", "1000000", "--retry", "--retry-for", "600", "--concurrency", "16", "--duplicates", "0.1"];
        let mut command = site.command(&[&["send", "--json", "--shuffle", "--url", &url], &flags[..]].concat());
        command.arg("--secret-file").arg(secret).arg("--acks").arg(site.file("acks"));
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn acked(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.file("acks")).unwrap_or_default();
    // The last line may be half written where the sender was killed.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

fn kills() -> usize {
    std::env::var(VARIABLE).map_or(KILLS, |text| text.parse().unwrap_or_else(|_| panic!("{VARIABLE}={text}")))
}

#[test]
fn after_kills_under_load_no_transaction_is_complete_without_its_markers() {
    let site = Site::alone(HOOKLOG);
    let ingest = Port::reserve();
    let start = || site.try_up(&["--ingest-addr", &ingest.address()]).unwrap_or_else(|refused| panic!("{refused}"));
    let mut up = start();
    let _load = Load::on(&site, &up);
    let mut starts = Vec::new();
    for kill in 0..kills() {
        let before = acked(&site).len();
        wait_until("webhooks are acknowledged", || (acked(&site).len() >= before + ACKED).then_some(()));
        let broker = up.broker();
        up.program.kill();
        broker.kill();
        if kill % 2 == 1 {
            thread::sleep(PAUSE);
        }
        let began = Instant::now();
        up = start();
        starts.push(began.elapsed());
    }
    drop(_load);
    let acked: std::collections::BTreeSet<String> = acked(&site).into_iter().collect();
    let audited = site.audit();
    let (_, events) = site.processed(up.brokers());
    let mut times = std::collections::BTreeMap::<&str, usize>::new();
    events.iter().for_each(|event| *times.entry(event.header("ce_id").unwrap()).or_default() += 1);
    let wrong: Vec<_> = acked.iter().filter(|id| times.get(id.as_str()) != Some(&1)).collect();
    assert!(wrong.is_empty(), "acknowledged, and not in events once: {wrong:?}; audit said {audited}");
    assert!(up.program.stop().success());
    starts.sort();
    println!("starts after a kill: p50 {:?}, max {:?}", starts[starts.len() / 2], starts[starts.len() - 1]);
    let logs = Logs::read(&site.data_dir()).unwrap();
    assert_eq!(logs.no_leader, 0, "the coordinator says that it skipped markers");
    let judgement = logs.judge();
    assert!(judgement.is_whole() && judgement.unjudged == 0, "{judgement:?}");
    assert!(judgement.transactions > 20, "{judgement:?}");
}
