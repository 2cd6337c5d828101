//! Records that `events` refuses: their transactions are aborted, and all that was folded in them is folded again (I8).

use hooklog_task::metric_names::{ABORTED, COMMITTED, TRANSACTIONS};
use hooklog_test_support::settings::{AS_MADE, TOO_SMALL, alter};
use hooklog_test_support::{Broker, Feed, Site, wait_until};

const HOOKLOG: &str = env!("CARGO_BIN_EXE_hooklog");

#[test]
fn what_was_folded_in_aborted_transactions_is_folded_again_and_nothing_is_lost_or_doubled() {
    let site = Site::on(Broker::shared(HOOKLOG), HOOKLOG);
    let up = site.up();
    let (raw, events) = (site.topics().raw(), site.topics().events());
    let ended = |outcome: &str| up.metric(TRANSACTIONS, &format!("outcome=\"{outcome}\""));
    let feed = Feed::start(up.brokers(), &raw, 4, "refused");
    wait_until("something is committed", || (ended(COMMITTED) > 0.0).then_some(()));

    alter(up.brokers(), &events, &TOO_SMALL);
    wait_until("transactions are aborted", || (ended(ABORTED) >= 3.0).then_some(()));
    let line = up.says("the transaction failed");
    assert!(line.contains("stage="), "{line}");
    alter(up.brokers(), &events, &AS_MADE);

    let before = ended(COMMITTED);
    wait_until("it commits again", || (ended(COMMITTED) > before).then_some(()));
    let sent = feed.stop();
    assert_eq!(site.is_exact(up.brokers()), sent);
    assert!(up.program.stop().success());
}
