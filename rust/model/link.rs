// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where symbolic links lead.

/// How many directories a link's target climbs up from the directory that the link
/// is in, before it goes down for good; `None` when that cannot be told from the
/// target alone.
///
/// It cannot for an absolute target, and for one that goes up again after it went
/// down: what it went down into may be a link itself, so that going up leads
/// anywhere.
pub fn climbs(target: &[u8]) -> Option<usize> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let mut up = 0usize;
    let mut down = false;
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if down => return None,
            b".." => up = up.saturating_add(1),
            _ => down = true,
        }
    }
    Some(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_go_down() {
        for target in ["a", "a/b", "./a", "a/./b", "a//b/", ".", "..a/...", "a.."] {
            assert_eq!(climbs(target.as_bytes()), Some(0), "{target}");
        }
    }

    #[test]
    fn targets_that_go_up_first() {
        for (target, up) in [("..", 1), ("../a", 1), ("./.././../a/b", 2), ("..//..", 2)] {
            assert_eq!(climbs(target.as_bytes()), Some(up), "{target}");
        }
    }

    #[test]
    fn targets_that_could_lead_anywhere() {
        for target in ["/", "/a", "//a", "a/..", "a/../b", "../a/../b", "a/b/../../.."] {
            assert_eq!(climbs(target.as_bytes()), None, "{target}");
        }
    }

    proptest::proptest! {
        /// Walking such a target never gets higher than it says.
        #[test]
        fn never_higher_than_said(target in "[a./]{0,24}") {
            if let Some(up) = climbs(target.as_bytes()) {
                let mut height = 0i32;
                for component in target.split('/') {
                    height += match component {
                        "" | "." => 0,
                        ".." => 1,
                        _ => -1,
                    };
                    proptest::prop_assert!(height <= up as i32);
                }
            }
        }
    }
}
