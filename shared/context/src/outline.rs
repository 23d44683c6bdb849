//! What a file defines, in the order of its lines: the skeleton that people and models read first.

use std::fmt::Write as _;

use serde::Serialize;
use tree_sitter::Node;

use crate::definition::{Family, defined, family};
use crate::grammar::Grammar;

/// Something a file defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Symbol {
    /// What it is called.
    pub name: String,
    /// Its head, without its body, on one line.
    pub signature: String,
    /// Its first line, counted from 1.
    pub line: usize,
    /// Its last line.
    pub end: usize,
    /// How many definitions it is within.
    pub depth: usize,
}

/// Longest name, in characters.
const MAX_NAME: usize = 200;
/// Longest signature, in characters.
const MAX_SIGNATURE: usize = 160;
/// Most definitions of one file.
const MAX_SYMBOLS: usize = 2_000;

/// Whether the definitions of a file can be told.
pub fn is_outlined(path: &str) -> bool {
    Grammar::of(path).is_some() || family(path) != Family::None
}

/// The definitions of a file: by a parser where there is one for its language, else by its lines.
pub fn outline(path: &str, text: &str) -> Vec<Symbol> {
    match Grammar::of(path).and_then(|grammar| Some((grammar.parse(text)?, grammar))) {
        Some((tree, grammar)) => parsed(tree.root_node(), &grammar, text),
        None => by_line(path, text),
    }
}

fn by_line(path: &str, text: &str) -> Vec<Symbol> {
    let family = family(path);
    let symbol = |(at, line): (usize, &str)| {
        let name = defined(family, line)?.to_owned();
        let depth = usize::from(line.starts_with([' ', '\t']));
        Some(Symbol { name, signature: one_line(line), line: at + 1, end: at + 1, depth })
    };
    text.lines().enumerate().filter_map(symbol).take(MAX_SYMBOLS).collect()
}

/// Walks the tree without recursion: a hostile text nests as deeply as it likes.
fn parsed(root: Node<'_>, grammar: &Grammar, text: &str) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    let mut cursor = root.walk();
    let mut depths = vec![0];
    'tree: loop {
        let depth = depths.last().copied().unwrap_or(0);
        let symbol = symbol(cursor.node(), grammar, text, depth);
        let inner = depth + usize::from(symbol.is_some());
        symbols.extend(symbol);
        if symbols.len() >= MAX_SYMBOLS {
            break;
        }
        if cursor.goto_first_child() {
            depths.push(inner);
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                break 'tree;
            }
            depths.pop();
        }
    }
    symbols
}

fn symbol(node: Node<'_>, grammar: &Grammar, text: &str, depth: usize) -> Option<Symbol> {
    if !node.is_named() || !grammar.symbols.contains(&node.kind()) {
        return None;
    }
    let body = match node.kind() {
        "variable_declarator" | "assignment_expression" => {
            let value = node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"))?;
            if !matches!(value.kind(), "arrow_function" | "function_expression" | "generator_function" | "class") {
                return None;
            }
            value.child_by_field_name("body")
        }
        "struct_specifier" | "enum_specifier" | "union_specifier" => Some(node.child_by_field_name("body")?),
        "const_item" | "static_item" | "preproc_def" | "preproc_function_def" => node.child_by_field_name("value"),
        _ => node.child_by_field_name("body"),
    };
    let name: String = text.get(name(node)?.byte_range())?.chars().take(MAX_NAME).collect();
    let end = body.map_or(node.end_byte(), |body| body.start_byte());
    let signature = one_line(text.get(node.start_byte()..end)?.trim_end().trim_end_matches(['{', '=']));
    Some(Symbol { name, signature, line: node.start_position().row + 1, end: node.end_position().row + 1, depth })
}

/// The node that holds a definition's name; C hides it behind declarators.
fn name(node: Node<'_>) -> Option<Node<'_>> {
    let fields = ["name", "left", "type"];
    let direct = fields.iter().find_map(|field| node.child_by_field_name(field));
    let mut declarator = node.child_by_field_name("declarator");
    let mut last = declarator;
    while let Some(inner) = declarator {
        last = Some(inner);
        declarator = inner.child_by_field_name("declarator");
    }
    last.or(direct)
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_SIGNATURE * 4 {
            break;
        }
    }
    line.chars().take(MAX_SIGNATURE).collect()
}

/// Writes symbols as a skeleton, one numbered line each.
pub(crate) fn skeleton(symbols: &[Symbol], most: usize) -> String {
    let mut text = String::new();
    for symbol in symbols.iter().take(most) {
        let _ = writeln!(text, "{:>5}  {:indent$}{}", symbol.line, "", symbol.signature, indent = symbol.depth * 2);
    }
    if symbols.len() > most {
        let _ = writeln!(text, "       … {} more", symbols.len() - most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> String {
        skeleton(&outline(path, text), 50)
    }

    #[test]
    fn each_language_has_an_outline() {
        assert_eq!(
            shown(
                "a.py",
                "class Cart(Base):\n    def total(self, tax: int = 1):\n        def inner(): pass\n        return 1\n"
            ),
            "    1  class Cart(Base):\n    2    def total(self, tax: int = 1):\n    3      def inner():\n"
        );
        assert_eq!(
            shown(
                "a.rs",
                "const LIMIT: u8 = 3;\nimpl Cart<u8> {\n    pub fn total(&self)\n        -> u32 {\n        1\n    }\n}\ntrait Sum { fn sum(&self); }\n"
            ),
            "    1  const LIMIT: u8\n    2  impl Cart<u8>\n    3    pub fn total(&self) -> u32\n    8  trait Sum\n    8    fn sum(&self);\n"
        );
        assert_eq!(
            shown("a.go", "package a\ntype Cart struct { n int }\nfunc (c *Cart) Total() int { return c.n }\n"),
            "    2  Cart struct { n int }\n    3  func (c *Cart) Total() int\n"
        );
        assert_eq!(
            shown("A.java", "public class A {\n  A(int x) {}\n  @Override\n  int total() { return 1; }\n}\n"),
            "    1  public class A\n    2    A(int x)\n    3    @Override int total()\n"
        );
        assert_eq!(
            shown(
                "a.js",
                "const sum = (a, b) => { return a + b }\nclass Cart { total() { return 1 } }\nproto.add = function (x) { }\nlet x = 1\n"
            ),
            "    1  sum = (a, b) =>\n    2  class Cart\n    2    total()\n    3  proto.add = function (x)\n"
        );
        assert_eq!(
            shown("a.ts", "interface Cart { total(): number }\nexport type N = number\nenum E { A }\n"),
            "    1  interface Cart\n    1    total(): number\n    2  type N = number\n    3  enum E\n"
        );
        assert_eq!(
            shown("a.c", "#define LIMIT 3\nstruct cart { int n; };\nstatic int *total(struct cart *c) { return 0; }\n"),
            "    1  #define LIMIT\n    2  struct cart\n    3  static int *total(struct cart *c)\n"
        );
        assert_eq!(
            shown(
                "A.cs",
                "namespace Shop {\n  class Cart {\n    int Total() => 1;\n    public int N { get; set; }\n  }\n}\n"
            ),
            "    1  namespace Shop\n    2    class Cart\n    3      int Total()\n    4      public int N { get; set; }\n"
        );
        assert_eq!(
            shown("a.rb", "class Cart\n  def total(x)\n    1\n  end\nend\n"),
            "    1  class Cart\n    2    def total(x)\n"
        );
        assert_eq!(
            shown("a.php", "<?php\nclass Cart {\n  function total() { }\n}\n"),
            "    2  class Cart\n    3    function total()\n"
        );
        assert_eq!(
            shown("a.kt", "class Cart {\n  fun total() = 1\n"),
            "    1  class Cart {\n    2    fun total() = 1\n",
            "by lines"
        );
    }

    #[test]
    fn hostile_texts_are_outlined_too() {
        let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(outline("a.py", &deep).is_empty());
        let nested: Vec<String> = (0..1_500).map(|n| format!("{}class C{n}:", " ".repeat(n))).collect();
        assert!(!outline("a.py", &nested.join("\n")).is_empty());
        assert!(outline("a.js", &"`${".repeat(50_000)).is_empty());
        // Each of these has a comment or a string without an end, which a parser looks for from every place anew.
        for (path, part) in [("A.java", "/* \n"), ("a.js", "/* \n"), ("a.rs", "r#\" \n"), ("a.py", "\"\"\" \n'")] {
            let hostile = format!("class Tax {{}}\n{}", part.repeat(400_000 / part.len()));
            assert!(outline(path, &hostile).len() < 10, "{path}");
        }
        let honest: String =
            (0..12_000).map(|n| format!("def f{n}(x):  # {n}\n    return x\n")).collect::<Vec<_>>().concat();
        assert_eq!(outline("a.py", &honest).len(), 2_000, "{} bytes are parsed", honest.len());
    }
}
