use super::*;

fn pinned(name: &str, id: &str) -> Pinned {
    Pinned { name: name.to_owned(), partitions: 1, id: TopicId(id.to_owned()) }
}

fn id(id: &str) -> Seen {
    Seen::Id(TopicId(id.to_owned()))
}

fn unknown() -> Seen {
    Seen::Unknown("no answer".to_owned())
}

/// Looks at a topic whose id was `a`, at these seconds; the last verdict in a letter.
fn judged(looks: &[(u64, Seen)]) -> char {
    let (mut identity, begin) = (Identity::of([&pinned("raw", "a")]), Instant::now());
    let judge = |(at, seen): &(u64, Seen)| identity.judge(std::slice::from_ref(seen), begin + Duration::from_secs(*at));
    match looks.iter().map(judge).last() {
        Some(Verdict::Same) => 's',
        Some(Verdict::Unknown(_)) => 'u',
        Some(Verdict::Absent(_)) => 'a',
        Some(Verdict::Other(OtherLog { found: Some(_), .. })) => 'o',
        Some(Verdict::Other(OtherLog { found: None, .. })) => 'g',
        None => '-',
    }
}

#[test]
fn a_topic_is_the_same_another_one_or_gone_and_what_nobody_answers_says_nothing() {
    use Seen::Absent;
    let table: [(&[(u64, Seen)], char); 12] = [
        (&[(0, id("a"))], 's'),
        (&[(0, id("b"))], 'o'),
        (&[(0, unknown())], 'u'),
        (&[(0, Absent)], 'a'),
        (&[(0, Absent), (1, Absent), (4, Absent)], 'a'),
        (&[(0, Absent), (2, Absent), (5, Absent)], 'g'),
        // Two looks are not enough, however long apart.
        (&[(0, Absent), (60, Absent)], 'a'),
        // Many looks within a moment are not enough.
        (&[(0, Absent), (1, Absent), (1, Absent), (1, Absent), (2, Absent)], 'a'),
        // It came back: the count begins anew.
        (&[(0, Absent), (2, Absent), (4, id("a")), (6, Absent)], 'a'),
        (&[(0, Absent), (2, Absent), (4, id("a"))], 's'),
        // A cluster that does not answer says nothing of the time between.
        (&[(0, Absent), (2, Absent), (4, unknown()), (6, Absent)], 'a'),
        (&[(0, Absent), (2, id("b"))], 'o'),
    ];
    for (looks, expected) in table {
        assert_eq!(judged(looks), expected, "{looks:?}");
    }
}

#[test]
fn the_worst_of_several_topics_counts() {
    let topics = [pinned("raw", "a"), pinned("events", "b")];
    let judged = |seen: [Seen; 2]| Identity::of(&topics).judge(&seen, Instant::now());
    let other = |verdict| matches!(verdict, Verdict::Other(OtherLog { topic, .. }) if topic == "events");
    assert_eq!(judged([id("a"), id("b")]), Verdict::Same);
    assert!(other(judged([id("a"), id("x")])));
    assert!(other(judged([unknown(), id("x")])));
    assert!(matches!(judged([Seen::Absent, unknown()]), Verdict::Absent(topic) if topic == "raw"));
    assert!(matches!(judged([unknown(), id("b")]), Verdict::Unknown(_)));
    assert!(matches!(judged([id("x"), unknown()]), Verdict::Other(_)));
}

#[test]
fn the_error_tells_both_ids_and_what_to_do() {
    let other = |found: Option<&str>| OtherLog {
        topic: "hooklog.raw".to_owned(),
        pinned: TopicId("before".to_owned()),
        found: found.map(|id| TopicId(id.to_owned())),
    };
    let text = other(Some("now")).to_string();
    for expected in ["hooklog.raw", "before", "now", "--prefix", "start again"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(other(None).to_string().contains("was deleted under"));
}
