use super::*;

const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

fn password(text: &str) -> Password {
    Password::choose(text.as_bytes()).unwrap()
}

#[test]
fn a_hash_verifies_only_its_own_password() {
    let mut arena = Arena::default();
    let phc = hash(&password("correct horse"), CHEAP, &mut arena).unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    assert!(verify(&password("correct horse"), &phc, &mut arena).unwrap());
    assert!(!verify(&password("correct horsf"), &phc, &mut arena).unwrap());
    let again = hash(&password("correct horse"), CHEAP, &mut arena).unwrap();
    assert_ne!(phc, again, "two hashes of one password have the same salt");
}

/// Made by `argon2 somesalt -id -t 2 -m 16 -p 1` of the reference implementation, password
/// "password" (its test vector for version 0x13).
#[test]
fn a_hash_of_the_reference_implementation_verifies() {
    let phc =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let mut arena = Arena::default();
    assert!(verify(&password("password"), phc, &mut arena).unwrap());
    assert!(!verify(&password("passwore"), phc, &mut arena).unwrap());
}

#[test]
fn an_arena_gives_memory_back_after_a_costly_hash() {
    let mut arena = Arena::default();
    let costly = Cost { memory_kib: 4096, ..CHEAP };
    hash(&password("x"), costly, &mut arena).unwrap();
    hash(&password("x"), CHEAP, &mut arena).unwrap();
    assert!(arena.0.capacity() < 4096, "{}", arena.0.capacity());
}

#[test]
fn hashes_that_are_not_verified() {
    let mut arena = Arena::default();
    let cases = [
        "",
        "hunter2",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=64,t=100000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$scrypt$ln=16,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ];
    for phc in cases {
        assert!(verify(&password("x"), phc, &mut arena).is_err(), "{phc}");
    }
}

#[test]
fn a_change_of_cost_makes_stored_hashes_outdated() {
    let phc = hash(&password("x"), CHEAP, &mut Arena::default()).unwrap();
    assert!(!is_outdated(&phc, CHEAP));
    assert!(is_outdated(&phc, Cost { iterations: 2, ..CHEAP }));
}

#[test]
fn the_same_characters_are_the_same_password() {
    assert_eq!(password("e\u{301}"), password("\u{e9}"));
    assert_eq!(password("a\u{a0}b"), password("a b"));
    assert_ne!(password("Secret"), password("secret"));
    assert_eq!(Password::received(" x ".as_bytes()), password(" x "));
    assert_eq!(Password::received(b"\xff").as_bytes(), b"\xff");
}

#[test]
fn passwords_that_nobody_may_choose() {
    let long = "x".repeat(MAX_PASSWORD + 1);
    for (typed, expected) in [
        ("", BadPassword::Empty),
        ("a\0b", BadPassword::Characters),
        ("a\nb", BadPassword::Characters),
        (&long, BadPassword::TooLong),
    ] {
        assert_eq!(Password::choose(typed.as_bytes()).unwrap_err(), expected, "{typed:?}");
    }
}

#[test]
fn a_password_prints_as_nothing() {
    assert_eq!(format!("{:?}", password("hunter2")), "Password(…)");
}
