//! The splitter finds the same events wherever the network cuts the bytes.

use super::{Frame, Splitter};
use bytes::Bytes;
use proptest::prelude::*;

fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut splitter = Splitter::new(1 << 20);
    let mut frames = Vec::new();
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece)).unwrap();
        while let Some(block) = splitter.next() {
            frames.push(Frame::read(block));
        }
    }
    frames
}

fn data(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter_map(|frame| Some(String::from_utf8_lossy(frame.data.as_ref()?).into_owned())).collect()
}

proptest! {
    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut(
        texts in proptest::collection::vec("[a-zé\u{2028}😀 {}:\"]{1,12}", 1..6),
        ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 6),
        space in any::<bool>(),
        mark in any::<bool>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut stream = if mark { vec![0xEF, 0xBB, 0xBF] } else { Vec::new() };
        for (text, end) in texts.iter().zip(&ends) {
            let gap = if space { " " } else { "" };
            stream.extend_from_slice(format!("data:{gap}{text}{end}{end}").as_bytes());
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let wanted: Vec<String> =
            texts.iter().map(|text| if space { text.clone() } else { text.strip_prefix(' ').unwrap_or(text).to_owned() }).collect();
        prop_assert_eq!(data(&frames(&pieces)), wanted);
    }

    #[test]
    fn no_bytes_whatever_make_the_splitter_panic(pieces in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..20), 0..10)
    ) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        frames(&pieces);
    }
}

#[test]
fn a_block_is_handed_out_as_soon_as_its_blank_line_is_there() {
    assert_eq!(frames(&[b"data: a\r\n\r\n"]).len(), 1);
    assert_eq!(frames(&[b"data: a\r\r"]).len(), 1);
    assert_eq!(frames(&[b"data: a\n\n"]).len(), 1);
    assert_eq!(frames(&[b"data: a\r\n\r", b"\ndata: b\n\n"]).len(), 2);
    assert_eq!(frames(&[b"data: a\n"]).len(), 0);
}

#[test]
fn only_a_single_data_line_is_plain() {
    let one = |text: &'static [u8]| Frame::read(Bytes::from_static(text));
    assert!(one(b"data: {}\n\n").plain);
    assert!(!one(b"data:{}\n\n").plain);
    assert!(!one(b"data: {}\r\n\r\n").plain);
    assert!(!one(b"event: x\ndata: {}\n\n").plain);
    assert_eq!(one(b"data: {\ndata: }\n\n").data.unwrap(), "{\n}");
    assert!(one(b": hello\n\n").is_comment());
    assert_eq!(one(b"error: {}\n\n").error.unwrap(), "{}");
    assert!(one(b"data: [DONE] \n\n").is_done());
}

#[test]
fn an_event_without_an_end_is_bounded() {
    let mut splitter = Splitter::new(8);
    splitter.push(Bytes::from_static(b"data: ")).unwrap();
    assert!(splitter.next().is_none());
    assert_eq!(
        splitter.push(Bytes::from_static(b"too long")).unwrap_err().to_string(),
        "an event is longer than 8 bytes"
    );
}
