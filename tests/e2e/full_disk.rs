//! The disk of a local installation is full for a while: nothing ends, nothing false is acknowledged, and it goes on by itself.
//!

//! The data directory is a small file system in memory, which takes root.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hooklog_test_support::{Port, Site, Up, http, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");
/// Asks for more, such as 20.
const VARIABLE: &str = "HOOKLOG_FULL_DISKS";

/// A small disk, where it may be mounted.
struct Disk(PathBuf);

impl Disk {
    fn at(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }

    /// To the last byte, and again whatever is freed: stores give back what they had only reserved.
    fn fill(&self) -> Full {
        let (path, is_over) = (self.0.join("filler"), Arc::new(AtomicBool::new(false)));
        let mut file = File::create(&path).unwrap();
        let over = is_over.clone();
        let fill = move || {
            let block = vec![0; 64 << 10];
            while !over.load(Ordering::Relaxed) {
                if file.write_all(&block).is_err() && file.write_all(&[0]).is_err() {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        };
        Full { path, is_over, filling: Some(thread::spawn(fill)) }
    }
}

/// The disk is full while this lives.
struct Full {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    filling: Option<JoinHandle<()>>,
}

impl Drop for Full {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.filling.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Load(Child);

impl Load {
    fn on(site: &Site, up: &Up, seed: usize) -> Self {
        let url = format!("{}/webhooks/stripe", up.address("ingest"));
        let flags = ["--events", "100000", "--retry", "--retry-for", "600", "--rate", "200", "--concurrency", "16"];
        let mut command = site.command(&["send", "--json", "--shuffle", "--url", &url, "--seed", &seed.to_string()]);
        command.args(flags).args(["--duplicates", "0.1", "--acks"]).arg(acks(site));
        // The data directory may not be read by then.
        command.arg("--secret-file").arg(site.file("secret"));
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// On another disk than the one that is filled.
fn acks(site: &Site) -> PathBuf {
    site.file("acks")
}

fn acked(site: &Site) -> BTreeSet<String> {
    let text = fs::read_to_string(acks(site)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

fn status(address: &str, path: &str) -> Option<u16> {
    http::get(address, path).ok().map(|answer| answer.status)
}

/// Each acknowledged event once, and audit agrees.
fn each_once(site: &Site, up: &Up) {
    let acked = acked(site);
    site.audit();
    let (_, events) = site.processed(up.brokers());
    let ids: Vec<&str> = events.iter().map(|event| event.header("ce_id").unwrap()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an event is there twice");
    let lost: Vec<_> = acked.iter().filter(|id| !unique.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged, and not in events: {lost:?}");
}

#[test]
fn while_the_disk_is_full_webhooks_get_503_and_with_room_it_goes_on_by_itself() {
    let site = Site::alone(HOOKLOG);
    let Some(disk) = Disk::at(&site.data_dir(), "size=500m") else { return no_root() };
    let up = site.up();
    fs::copy(site.data_dir().join("secrets/stripe"), site.file("secret")).unwrap();
    let pid = up.program.process().clone();
    let times = std::env::var(VARIABLE).map_or(1, |text| text.parse().unwrap());
    for time in 0..times {
        let before = acked(&site).len();
        let load = Load::on(&site, &up, 7 + time);
        wait_until("webhooks are acknowledged", || (acked(&site).len() >= before + 300).then_some(()));
        let broker = up.broker();
        let full = disk.fill();
        wait_until("the broker died of it", || (!broker.is_alive()).then_some(()));
        let (ingest, query) = (up.address("ingest"), up.address("query"));
        wait_until("both addresses say that it is not ready", || {
            (status(ingest, "/readyz") == Some(503) && status(query, "/readyz") == Some(503)).then_some(())
        });
        wait_until("/readyz says why", || {
            let body = up.get("/readyz").json();
            body["reasons"][0].as_str().is_some_and(|why| why.contains("is full")).then_some(())
        });
        let refused = up.post(br#"{"id":"evt_while_full","type":"customer.created"}"#);
        assert_eq!((refused.status, status(ingest, "/healthz")), (503, Some(200)));
        assert!(pid.is_alive());
        drop(full);
        wait_until("it is ready again", || (status(query, "/readyz") == Some(200)).then_some(()));
        let then = acked(&site).len();
        wait_until("webhooks are acknowledged again", || (acked(&site).len() > then).then_some(()));
        assert!(pid.is_alive() && !site.data_dir().join("broker/power-loss").exists(), "its log was not checked");
        drop(load);
    }
    each_once(&site, &up);
    up.views_follow();
    assert!(up.program.stop().success());
}

/// A file system without inodes: bytes are free, so no look at the disk shows what is wanted.
#[test]
fn services_that_end_for_want_of_room_at_once_are_started_again_after_longer_and_longer_pauses() {
    let site = Site::alone(HOOKLOG);
    // For the directory, its lock, and no view.
    let views = site.data_dir().join("projector");
    let Some(_disk) = Disk::at(&views, "size=200m,nr_inodes=3") else { return no_root() };
    let port = Port::reserve();
    let address = port.address();
    let log = site.file("log");
    let mut command =
        site.command(&["up", "--ingest-addr", &address, "--query-addr", "127.0.0.1:0", "--kafka-port", "0"]);
    let mut up = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let ends = || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains(" ERROR ") && line.contains("No space left")).count()
    };
    wait_until("the services end", || (ends() >= 1).then_some(()));
    let began = Instant::now();
    wait_until("they ended once more, and again", || (ends() >= 4).then_some(()));
    // The pauses between are 1, 2 and 4 s.
    assert!(began.elapsed() > Duration::from_secs(6), "{} ends within {:?}", ends(), began.elapsed());
    let url = format!("http://{address}");
    assert_eq!((status(&url, "/healthz"), status(&url, "/readyz")), (Some(200), Some(503)));
    let remounted = Command::new("mount").args(["-o", "remount,nr_inodes=100000"]).arg(&views).status().unwrap();
    assert!(remounted.success());
    wait_until("it is ready", || (status(&url, "/readyz") == Some(200)).then_some(()));
    assert!(up.try_wait().unwrap().is_none());
    rustix::process::kill_process(rustix::process::Pid::from_child(&up), rustix::process::Signal::TERM).unwrap();
    assert!(up.wait().unwrap().success());
}

#[test]
fn a_start_on_a_full_disk_waits_for_room_and_then_checks_the_log_of_the_broker_that_died_of_it() {
    let site = Site::alone(HOOKLOG);
    let Some(disk) = Disk::at(&site.data_dir(), "size=500m") else { return no_root() };
    let port = Port::reserve();
    let address = port.address();
    let up = site.try_up(&["--ingest-addr", &address]).unwrap_or_else(|refused| panic!("{refused}"));
    site.send(&["--events", "200", "--seed", "5"]);
    let broker = up.broker();
    up.program.kill();
    let full = disk.fill();
    let is_full = || File::create(site.data_dir().join("probe")).and_then(|mut probe| probe.write_all(&[0; 4096]));
    wait_until("the disk is full", || is_full().is_err().then_some(()));
    // A broker of a killed `up`, which finds no room.
    broker.kill();
    let mut command =
        site.command(&["up", "--ingest-addr", &address, "--query-addr", "127.0.0.1:0", "--kafka-port", "0"]);
    let mut up = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let url = format!("http://{address}");
    wait_until("it is alive and not ready", || {
        (status(&url, "/healthz") == Some(200) && status(&url, "/readyz") == Some(503)).then_some(())
    });
    // It answers before it looks at what the dead broker left; the disk stays full meanwhile.
    let mark = site.data_dir().join("broker/power-loss");
    wait_until("the log of the broker that died is marked", || mark.exists().then_some(()));
    drop(full);
    wait_until("it is ready", || (status(&url, "/readyz") == Some(200)).then_some(()));
    assert!(!mark.exists(), "it is served before it was checked");
    assert!(up.try_wait().unwrap().is_none());
    rustix::process::kill_process(rustix::process::Pid::from_child(&up), rustix::process::Signal::TERM).unwrap();
    assert!(up.wait().unwrap().success());
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests must know what was not shown")]
fn no_root() {
    eprintln!("NOT SHOWN: a small disk cannot be mounted here, which takes root");
}
