use super::*;

const HOUR: u64 = 3600;
/// The start of some day.
const START: u64 = 20_000 * 86_400;

fn limits(text: &str) -> Limits {
    text.parse().unwrap()
}

#[test]
fn the_limit_is_the_last_that_passes() {
    let mut usage = Usage::default();
    let limits = limits("10/hour");
    for _ in 0..5 {
        assert_eq!(usage.check(START, &limits, 2, &[]), Ok(()));
        usage.charge(START, 2);
    }
    let exceeded = usage.check(START, &limits, 1, &[]).unwrap_err();
    assert_eq!((exceeded.used, exceeded.limit.most), (10, 10));
    assert!(usage.check(START, &"messages=6/hour".parse().unwrap(), 100, &[]).is_ok());
}

#[test]
fn what_was_sent_fades_as_the_period_slides() {
    let mut usage = Usage::default();
    usage.charge(START, 100);
    let limit = limits("100/hour").0[0];
    for (later, expected) in
        [(0, 100), (HOUR - 1, 100), (HOUR, 100), (HOUR + HOUR / 2, 50), (2 * HOUR, 0)]
    {
        assert_eq!(usage.used(START + later, &limit), expected, "{later} s later");
    }
    assert!(!usage.is_over(START + 2 * HOUR));
    assert!(usage.is_over(START + 49 * HOUR));
}

#[test]
fn a_clock_that_is_set_back_frees_nobody_and_blocks_nobody_for_long() {
    let mut usage = Usage::default();
    let limit = limits("100/day").0[0];
    usage.charge(START, 100);
    let day_before = START - 86_400;
    assert_eq!(usage.used(day_before, &limit), 100);
    usage.charge(day_before, 1);
    assert_eq!(usage.used(day_before + 2 * 86_400, &limit), 0);
}

#[test]
fn refused_attempts_lead_to_the_ceiling_and_lifting_starts_anew() {
    let mut usage = Usage::default();
    let own = limits("10/hour");
    for attempt in 1..=201 {
        let passed = usage.attempt(START, 1, (&own, &Ceiling::Times(20)), 0, &[]);
        assert_eq!(passed, attempt == 201, "{attempt}");
    }
    assert!(usage.attempt(START + 1, 1, (&own, &Ceiling::Times(20)), 0, &[]));
    assert!(!usage.attempt(START + 3, 1, (&own, &Ceiling::Times(20)), START + 2, &[]));
    assert!(!usage.attempt(START + 4, 1, (&own, &Ceiling::Off), 0, &[]));
}

#[test]
fn counters_survive_being_stored() {
    let mut usage = Usage::default();
    usage.charge(START, 3);
    let json = serde_json::to_vec(&usage).unwrap();
    assert_eq!(serde_json::from_slice::<Usage>(&json).unwrap(), usage);
}

#[test]
fn a_limit_reached_while_the_clock_was_years_ahead_is_free_again_within_two_days() {
    let mut usage = Usage::default();
    let limits = limits("100/day");
    usage.charge(START + 5 * 365 * 86_400, 100);
    usage.settle(START);
    assert!(usage.check(START, &limits, 1, &[]).is_err());
    usage.settle(START + 2 * 86_400);
    assert_eq!(usage.check(START + 2 * 86_400, &limits, 1, &[]), Ok(()));
}

#[test]
fn attempts_by_way_of_other_relays_lead_to_the_ceiling_unless_they_were_before_it_was_lifted() {
    let own = limits("10/hour");
    let ceiling = Ceiling::Times(2);
    let mut other = Usage::default();
    for _ in 0..20 {
        other.attempt(START, 1, (&own, &ceiling), 5, &[]);
    }
    let others = [other];
    assert!(Usage::default().attempt(START, 1, (&own, &ceiling), 5, &others));
    assert!(!Usage::default().attempt(START, 1, (&own, &ceiling), 6, &others));
}
