// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use proptest::prelude::*;

fn walk(bytes: &[u8], depth: usize) -> usize {
    let mut seen = 0;
    for attribute in Attributes::new(bytes).flatten() {
        seen += 1;
        let _ = (attribute.u8(), attribute.u16(), attribute.u32());
        let _ = (
            attribute.uint(),
            attribute.string(),
            attribute.octets::<32>(),
        );
        if depth > 0 {
            seen += walk(attribute.value, depth - 1);
        }
    }
    seen
}

proptest! {
    #[test]
    fn any_octets_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for message in Messages::new(&bytes).flatten() {
            let _ = acknowledgement(&message);
            if let Ok((_, attributes)) = generic(message.payload) {
                walk(attributes.0, 3);
            }
        }
        walk(&bytes, 3);
    }

    #[test]
    fn a_damaged_message_is_parsed_without_panic(
        at in 0usize..80, value in any::<u8>(), name in "[a-z]{0,20}",
    ) {
        let mut builder = Builder::new(20, 5, 9, 3, 1);
        builder.put(1, &[7; 32]).put_u32(2, 5).put_string(3, &name);
        let mut bytes = builder.finish();
        if let Some(octet) = bytes.get_mut(at) {
            *octet = value;
        }
        let total: usize = Messages::new(&bytes).flatten().map(|m| walk(m.payload, 2)).sum();
        prop_assert!(total <= bytes.len());
    }

    #[test]
    fn what_is_built_is_read_back(
        number in any::<u32>(), name in "[a-zA-Z0-9 ]{0,63}", blob in proptest::collection::vec(any::<u8>(), 0..70),
    ) {
        let mut builder = Builder::new(20, 5, 9, 3, 1);
        builder.put_u32(2, number).put_string(3, &name).put(4, &blob);
        builder.put_nested(5, |inner| { inner.put_u32(1, number); });
        let bytes = builder.finish();
        let messages: Vec<_> = Messages::new(&bytes).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(messages.len(), 1);
        let (command, attributes) = generic(messages[0].payload).unwrap();
        prop_assert_eq!(command, 3);
        let attributes: Vec<_> = attributes.collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(attributes[0].u32().unwrap(), number);
        prop_assert_eq!(attributes[1].string().unwrap(), name);
        prop_assert_eq!(attributes[2].value, &blob[..]);
        let inner: Vec<_> = attributes[3].nested().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(inner[0].u32().unwrap(), number);
    }
}

fn error_message(errno: i32, flags: u16, tlvs: &[u8]) -> Vec<u8> {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.extend_from_slice(&[0; HEADER_LEN]);
    payload.extend_from_slice(tlvs);
    let mut bytes = ((payload.len() + HEADER_LEN) as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&2u16.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&payload);
    bytes
}

#[test]
fn the_kernels_words_are_read() {
    let mut inner = Builder { bytes: Vec::new() };
    inner.put_string(NLMSGERR_ATTR_MSG, "the socket does not run kTLS");
    inner.put_u32(NLMSGERR_ATTR_OFFS, 24);
    let bytes = error_message(22, NLM_F_CAPPED | NLM_F_ACK_TLVS, &inner.bytes);
    let message = Messages::new(&bytes).next().unwrap().unwrap();
    match acknowledgement(&message) {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.errno, 22);
            assert_eq!(refusal.message, "the socket does not run kTLS");
            assert_eq!(refusal.offset, Some(24));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn zero_is_an_acknowledgement() {
    let bytes = error_message(0, 0, &[]);
    let message = Messages::new(&bytes).next().unwrap().unwrap();
    assert!(acknowledgement(&message).is_ok());
}

#[test]
fn an_unsigned_number_may_be_short_or_long() {
    let short = 7u32.to_ne_bytes();
    let long = u64::MAX.to_ne_bytes();
    let read = |value: &[u8]| Attribute { kind: 1, value }.uint();
    assert_eq!(read(&short).unwrap(), 7);
    assert_eq!(read(&long).unwrap(), u64::MAX);
    assert!(read(&[0; 6]).is_err());
}
