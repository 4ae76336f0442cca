//! The attribute of [`protap-plugin`](https://github.com/protap/protap) that compiles reading code a second time. Code that
//! may wait is resumed in the middle of its loops, which Wasm cannot jump into: each step of it goes through a switch, with
//! all that is alive in memory. For a message that is there as a whole, nothing has to wait: the same code without its
//! `.await`s is plain code. It works on tokens and knows nothing of types.

use proc_macro::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// Compiles an `async fn`, or each of those in an `impl` block, a second time: `read` also as `read_now`, which is not
/// `async`, and in which `x(..).await` is `x_now(..)`. What is awaited must be a call; of `rare(x(..))` and of
/// `large(x(..))` it is the call in it.
#[proc_macro_attribute]
pub fn at_once(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens = item.clone();
    tokens.extend(twin_of_item(item.into_iter().collect()));
    tokens
}

fn is_ident(token: Option<&TokenTree>, name: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident.to_string() == name)
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

fn twin_of_item(mut tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let is_impl =
        tokens.iter().take_while(|token| !is_ident(Some(token), "fn")).any(|token| is_ident(Some(token), "impl"));
    if !is_impl {
        return twin_of_fn(tokens);
    }
    let Some(TokenTree::Group(body)) = tokens.pop() else { return error("at_once: an impl block without a body") };
    let mut twins = Vec::new();
    let mut item = Vec::new();
    for token in body.stream() {
        let ends = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        item.push(token);
        if ends || is_punct(item.last(), ';') {
            let item = core::mem::take(&mut item);
            if item.windows(2).any(|pair| is_ident(pair.first(), "async") && is_ident(pair.last(), "fn")) {
                twins.extend(twin_of_fn(item));
            }
        }
    }
    tokens.push(TokenTree::Group(Group::new(Delimiter::Brace, twins.into_iter().collect())));
    tokens
}

/// The twin of an `async fn`.
fn twin_of_fn(mut tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let Some(TokenTree::Group(body)) = tokens.pop() else { return error("at_once: a function without a body") };
    // Some are called for bytes that arrive alone.
    let mut twin: Vec<TokenTree> = "#[allow(dead_code)] #[allow(clippy::needless_lifetimes)]"
        .parse::<TokenStream>()
        .unwrap_or_default()
        .into_iter()
        .collect();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident.to_string() == "async" => {}
            TokenTree::Ident(ident) if is_ident(twin.last(), "fn") => twin.push(TokenTree::Ident(now(&ident))),
            token => twin.push(token),
        }
    }
    let statements = without_waits(body.stream());
    twin.push(TokenTree::Group(Group::new(Delimiter::Brace, statements.into_iter().collect())));
    twin
}

fn now(ident: &Ident) -> Ident {
    Ident::new(&format!("{ident}_now"), ident.span())
}

/// The same code with each `x(..).await` as `x_now(..)`.
fn without_waits(tokens: TokenStream) -> Vec<TokenTree> {
    let mut out: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_waits(group.stream()).into_iter().collect());
                inner.set_span(group.span());
                out.push(TokenTree::Group(inner));
            }
            TokenTree::Ident(ident) if ident.to_string() == "await" && is_punct(out.last(), '.') => {
                out.pop();
                if call_now(&mut out).is_none() {
                    return error("at_once: only calls can be awaited");
                }
            }
            TokenTree::Ident(ident) if ident.to_string() == "async" => {}
            token => out.push(token),
        }
    }
    out
}

/// Makes `x(..)`, at the end of these tokens, `x_now(..)`.
fn call_now(out: &mut Vec<TokenTree>) -> Option<()> {
    let Some(TokenTree::Group(arguments)) = out.pop() else { return None };
    let name = out.len().checked_sub(1 + turbofish(out)?)?;
    let Some(TokenTree::Ident(ident)) = out.get(name).cloned() else { return None };
    let is_path = name.checked_sub(1).is_some_and(
        |before| matches!(out.get(before), Some(TokenTree::Punct(punct)) if matches!(punct.as_char(), '.' | ':')),
    );
    let ident_is = |wrapper: &str| !is_path && ident.to_string() == wrapper;
    if !ident_is("rare") && !ident_is("large") {
        *out.get_mut(name)? = TokenTree::Ident(now(&ident));
        out.push(TokenTree::Group(arguments));
        return Some(());
    }
    out.pop();
    let mut call: Vec<TokenTree> = arguments.stream().into_iter().collect();
    if is_punct(call.last(), ',') {
        call.pop();
    }
    call_now(&mut call)?;
    if ident_is("large") {
        out.extend(call);
        return Some(());
    }
    out.extend("::protap_plugin::rare_now".parse::<TokenStream>().ok()?);
    let mut closure: Vec<TokenTree> = "||".parse::<TokenStream>().ok()?.into_iter().collect();
    closure.extend(call);
    out.push(TokenTree::Group(Group::new(Delimiter::Parenthesis, closure.into_iter().collect())));
    Some(())
}

/// How many tokens a `::<..>` at their end has.
fn turbofish(tokens: &[TokenTree]) -> Option<usize> {
    if !is_punct(tokens.last(), '>') {
        return Some(0);
    }
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().rev().enumerate() {
        if is_punct(Some(token), '>') {
            depth += 1;
        } else if is_punct(Some(token), '<') {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(i + 3);
            }
        }
    }
    None
}

fn error(why: &str) -> Vec<TokenTree> {
    let error = format!("::core::compile_error!({why:?});");
    error.parse::<TokenStream>().unwrap_or_default().into_iter().collect()
}
