//! Which line defines which name, told from the line alone.
//!
//! Parsing a whole repository takes five times as long as everything else together, and a ranking needs names, not
//! trees: the keyword before a name, or the shape of a method's head, says enough. What people and models are shown
//! comes from the parsers in [`crate::outline`].

/// Words after which a name is defined.
const KEYWORDS: &[&str] = &[
    "class",
    "const",
    "def",
    "define",
    "defmodule",
    "enum",
    "fn",
    "fun",
    "func",
    "function",
    "interface",
    "macro_rules!",
    "mod",
    "module",
    "namespace",
    "object",
    "protocol",
    "record",
    "static",
    "struct",
    "trait",
    "type",
    "typedef",
    "union",
    "let",
    "var",
    "val",
];
/// Words that may stand before such a keyword, or before a method's type.
const MODIFIERS: &[&str] = &[
    "abstract",
    "async",
    "const",
    "crate",
    "data",
    "declare",
    "default",
    "export",
    "extern",
    "final",
    "implicit",
    "inline",
    "internal",
    "native",
    "open",
    "override",
    "partial",
    "private",
    "protected",
    "pub",
    "public",
    "readonly",
    "sealed",
    "static",
    "synchronized",
    "unsafe",
    "virtual",
    "volatile",
];
/// Words that begin a statement which looks like a method's head and is none.
const STATEMENTS: &[&str] = &[
    "assert",
    "await",
    "case",
    "catch",
    "do",
    "elif",
    "else",
    "for",
    "foreach",
    "goto",
    "if",
    "lock",
    "match",
    "new",
    "package",
    "return",
    "sizeof",
    "super",
    "switch",
    "synchronized",
    "throw",
    "try",
    "typeof",
    "using",
    "while",
    "with",
    "yield",
    "import",
    "from",
    "delete",
    "not",
    "and",
    "or",
    "in",
    "is",
    "print",
    "raise",
    "except",
];

/// How a language writes methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// A keyword before every name.
    Keyword,
    /// `Type name(…) {`, as in Java, C# and C.
    Typed,
    /// `name(…) {` and `x.name = function`, as in JavaScript and TypeScript.
    Script,
    /// No definitions.
    None,
}

/// The family of a file by its extension.
pub(crate) fn family(path: &str) -> Family {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "py" | "pyi" | "pyx" | "rs" | "go" | "rb" | "php" | "swift" | "kt" | "kts" | "scala" | "ex" | "exs" | "lua"
        | "jl" | "groovy" | "ml" | "fs" | "zig" | "nim" => Family::Keyword,
        "java" | "cs" | "c" | "h" | "cc" | "cpp" | "cxx" | "hpp" | "m" | "mm" | "dart" => Family::Typed,
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" | "vue" | "svelte" => Family::Script,
        _ => Family::None,
    }
}

/// The name that a line defines, if it defines one.
pub(crate) fn defined(family: Family, line: &str) -> Option<&str> {
    if family == Family::None || line.len() > 400 {
        return None;
    }
    let mut rest = line.trim_start();
    let indented = rest.len() < line.len();
    rest = rest.strip_prefix("#define").map_or(rest, |_| rest.trim_start_matches('#'));
    let start = rest;
    while let Some((word, after)) = word(rest) {
        let local = matches!(word, "let" | "var" | "val" | "const");
        if KEYWORDS.contains(&word) && !(local && indented) && !(word == "static" && family == Family::Typed) {
            return named(word, after);
        }
        if !MODIFIERS.contains(&word) {
            break;
        }
        rest = after.trim_start();
        // `pub(crate)`, `extern "C"`
        if let Some((_, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            rest = after.trim_start();
        }
        if let Some((_, after)) = rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            rest = after.trim_start();
        }
    }
    match family {
        Family::Typed => typed(rest),
        Family::Script => script(rest),
        Family::Keyword if !indented => assigned(start),
        Family::Keyword | Family::None => None,
    }
}

/// The first word of a text and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '#'))).unwrap_or(text.len());
    let end = if text.get(end..).is_some_and(|rest| rest.starts_with('!')) { end + 1 } else { end };
    text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

/// The name after a keyword; `func (r *Receiver) Name`, `def self.name`, `const fn name`.
fn named<'a>(keyword: &str, after: &'a str) -> Option<&'a str> {
    let mut rest = after.trim_start_matches([' ', '\t', '*', '&']);
    if keyword == "func"
        && let Some((_, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'))
    {
        rest = after.trim_start();
    }
    let (mut name, mut after) = word(rest)?;
    while matches!(name, "self" | "fn" | "mut" | "class" | "struct" | "enum" | "unsafe" | "async" | "function") {
        rest = after.trim_start_matches([' ', '\t', '.', '*', ':']);
        (name, after) = word(rest)?;
    }
    let name = name.trim_end_matches('!');
    name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$').then_some(name)
}

/// `NAME = …` at the margin.
fn assigned(line: &str) -> Option<&str> {
    let (name, after) = word(line)?;
    let after = after.trim_start();
    let after = after.strip_prefix(':').map_or(after, |annotated| annotated.split_once('=').map_or("", |_| "="));
    (after.starts_with('=') && !after.starts_with("==")).then_some(name)
}

/// `Type name(…) {`: the word before the first parenthesis, if another word or type stands before it.
fn typed(line: &str) -> Option<&str> {
    let (head, tail) = line.split_once('(')?;
    let tail = tail.trim_end();
    if head.contains(['=', '"', '.', ';', '+', '?']) || !tail.ends_with(['{', ')', ',', ';', '(']) {
        return None;
    }
    let first = word(head).map(|(word, _)| word)?;
    let head = head.trim_end();
    let at = head.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')))?;
    let name = head.get(at + 1..).filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))?;
    let calls = tail.ends_with(';') && !head.contains(' ');
    (!STATEMENTS.contains(&first) && !calls).then_some(name)
}

/// `name(…) {`, `name: function`, `x.name = function`, `x.name = (…) =>`.
fn script(line: &str) -> Option<&str> {
    let last = |head: &str| -> Option<(usize, usize)> {
        let end = head.trim_end().len();
        let start =
            head.get(..end)?.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).map_or(0, |at| at + 1);
        (start < end).then_some((start, end))
    };
    let function = |value: &str| {
        let value = value.trim_start();
        value.starts_with("function")
            || value.starts_with("async ")
            || value.starts_with("class")
            || (value.starts_with('(') && value.contains("=>"))
    };
    for separator in ['=', ':'] {
        if let Some((head, value)) = line.split_once(separator)
            && (function(value)
                || (separator == '='
                    && (head.contains("prototype.")
                        || head.starts_with("exports.")
                        || head.starts_with("module.exports."))))
            && let Some((start, end)) = last(head)
        {
            return head.get(start..end);
        }
    }
    let (head, tail) = line.split_once('(')?;
    let (name, rest) = word(head)?;
    let method = rest.is_empty()
        && tail.trim_end().ends_with('{')
        && !tail.contains("=>")
        && !STATEMENTS.contains(&name)
        && !tail.contains("function");
    method.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str, text: &str) -> Vec<String> {
        text.lines().filter_map(|line| defined(family(path), line)).map(str::to_owned).collect()
    }

    #[test]
    fn names_are_found_in_the_languages_people_use() {
        let python = "LIMIT = 3\nclass Cart(Base):\n    x = 1\n    async def total(self):\n        return total(1)\n";
        assert_eq!(all("a.py", python), ["LIMIT", "Cart", "total"]);
        let rust = "pub(crate) struct Cart<T> {\n    pub const fn total(&self) -> u32 {\n        let x = total();\nmacro_rules! sum {\nextern \"C\" fn free() {}\nimpl Cart {\n";
        assert_eq!(all("a.rs", rust), ["Cart", "total", "sum", "free"]);
        let go =
            "type Cart struct {\nfunc (c *Cart) Total() int {\n\treturn sum(1)\nfunc New() *Cart {\nvar Limit = 3\n";
        assert_eq!(all("a.go", go), ["Cart", "Total", "New", "Limit"]);
        let java = "public final class Cart<T> {\n    private static int total(int x) {\n        return sum(x);\n        if (x) {\n        foo.bar(x);\n    List<String> names();\n    Cart(int x) {\n";
        assert_eq!(all("A.java", java), ["Cart", "total", "names"]);
        let script = "export default class Cart {\n  async total(x) {\n    if (x) {\n  static of(x) {\nconst sum = (a) => a\nproto.add = function (x) {\nCart.prototype.size = 1\nexport function make() {\n    const inner = 1\n    run(() => {\n";
        assert_eq!(all("a.ts", script), ["Cart", "total", "of", "sum", "add", "size", "make"]);
        assert_eq!(all("a.c", "#define LIMIT 3\nstatic int total(int x)\n{\n    return sum(x);\n"), ["LIMIT", "total"]);
        assert!(all("a.md", "class of problems\n").is_empty());
    }
}
