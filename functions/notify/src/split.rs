//! Long texts in several comments, cut between lines, with no block of code left open.

use crate::Say;

/// Room for the words that say that it goes on.
const SPARE: usize = 200;

/// Cuts what is said into comments that each fit.
pub(crate) fn fitting(say: Say, room: usize) -> Vec<Say> {
    if say.text.chars().count() <= room || say.conclusion.is_some() {
        return vec![say];
    }
    let most = room.saturating_sub(SPARE).max(SPARE);
    let mut parts: Vec<String> = vec![String::new()];
    let mut fence: Option<String> = None;
    let mut used = 0;
    for line in say.text.lines().flat_map(|line| pieces(line, most)) {
        let long = line.chars().count() + 1;
        if used + long > most && used > 0 {
            if let (Some(part), Some(open)) = (parts.last_mut(), &fence) {
                part.push_str(open.trim_start_matches(|c| c != '`' && c != '~').get(..3).unwrap_or("```"));
                part.push('\n');
            }
            parts.push(fence.as_ref().map_or_else(String::new, |open| format!("{open}\n")));
            used = 0;
        }
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fence = if fence.is_some() { None } else { Some(line.clone()) };
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(&line);
            part.push('\n');
        }
        used += long;
    }
    let count = parts.len();
    let whole = |(at, text): (usize, String)| {
        let kind = if at == 0 { say.kind.clone() } else { format!("{}-part-{}", say.kind, at + 1) };
        let end = if at + 1 < count { "\n*It goes on in the next comment.*" } else { "" };
        let (place, then) = (say.place.clone(), say.then);
        Say { place, then, ..Say::new(kind, format!("{}{end}", text.trim_end_matches('\n'))) }
    };
    parts.into_iter().enumerate().map(whole).collect()
}

/// A line in pieces that each fit.
fn pieces(line: &str, most: usize) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    if chars.is_empty() {
        return vec![String::new()];
    }
    chars.chunks(most).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_lines_and_no_block_stays_open() {
        let code = "let x = 1;\n".repeat(100);
        let text = format!("Before.\n\n```rust\n{code}```\n\nAfter.");
        let says = fitting(Say::new("plan-1", text), 700);
        assert!(says.len() > 1);
        for (at, say) in says.iter().enumerate() {
            assert!(say.text.chars().count() <= 700, "{}", say.text.chars().count());
            assert_eq!(say.text.matches("```").count() % 2, 0, "{}", say.text);
            assert_eq!(say.kind, if at == 0 { "plan-1".to_owned() } else { format!("plan-1-part-{}", at + 1) });
        }
        let lines: usize = says.iter().map(|say| say.text.matches("let x = 1;").count()).sum();
        assert_eq!(lines, 100, "nothing is lost");
        assert_eq!(fitting(Say::new("a", "short"), 700).len(), 1);
    }
}
