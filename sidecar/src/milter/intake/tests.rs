use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::packet::MAX_PACKET;
use super::*;

fn packet(length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    bytes.resize(4 + length, b'x');
    bytes
}

/// Reads all that a peer sends in pieces of this size.
async fn read(bytes: Vec<u8>, piece: usize) -> io::Result<usize> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let mut intake = Intake::new(ours, &Budget::default());
    let writing = tokio::spawn(async move {
        for piece in bytes.chunks(piece) {
            theirs.write_all(piece).await.ok();
        }
    });
    let mut read = Vec::new();
    let result = intake.read_to_end(&mut read).await;
    drop(intake);
    writing.await.unwrap();
    result
}

#[tokio::test]
async fn packets_pass_however_they_are_cut() {
    let bytes = [packet(0), packet(1), packet(SMALL_PACKET + 1), packet(MAX_PACKET)].concat();
    for piece in [1_000, 4_096, 100_001, 1 << 20] {
        assert_eq!(read(bytes.clone(), piece).await.unwrap(), bytes.len(), "{piece}");
    }
    let bytes = [packet(3), packet(0), packet(7)].concat();
    for piece in 1..8 {
        assert_eq!(read(bytes.clone(), piece).await.unwrap(), bytes.len(), "{piece}");
    }
}

#[tokio::test]
async fn a_packet_that_is_too_long_ends_the_connection_at_its_length() {
    let error = read([packet(5), packet(MAX_PACKET + 1)].concat(), 7).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn macros_that_nobody_reads_end_here_and_are_no_end_of_the_connection() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 10);
    let mut intake = Intake::new(ours, &Budget::default());
    let macros = [&8_u32.to_be_bytes()[..], b"DLi\x004AB\0"].concat();
    let writing = tokio::spawn(async move {
        theirs.write_all(&macros).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        theirs.write_all(&[&macros[..], &packet(3), &macros].concat()).await.unwrap();
    });
    let mut read = Vec::new();
    intake.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, packet(3));
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_packet_that_does_not_end_ends_the_connection() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let mut intake = Intake::new(ours, &Budget::default());
    theirs.write_all(&packet(5)).await.unwrap();
    let mut first = [0; 9];
    intake.read_exact(&mut first).await.unwrap();
    // Between two packets a session may be idle for hours.
    let idle = tokio::time::timeout(10 * PACKET_DEADLINE, intake.read_u8()).await;
    assert!(idle.is_err());
    theirs.write_all(&[0, 0]).await.unwrap();
    let error = intake.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn unfinished_packets_of_all_connections_share_one_budget() {
    let budget = Budget::default();
    let mut holding = Vec::new();
    let mut read = 0;
    for _ in 0..1_000 {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut intake = Intake::new(ours, &budget);
        // All but the last byte.
        let mut bytes = packet(MAX_PACKET);
        bytes.pop();
        theirs.write_all(&bytes).await.unwrap();
        let mut buffer = Vec::new();
        let reading = async {
            while buffer.len() < MAX_PACKET {
                intake.read_buf(&mut buffer).await.unwrap();
            }
        };
        let _hangs = tokio::time::timeout(Duration::from_millis(1), reading).await;
        read += buffer.len();
        holding.push((intake, theirs));
    }
    let most = BUDGET_KIB * 1024 + 1_000 * SMALL_PACKET;
    assert!(read <= most, "{read} bytes are held");
}
