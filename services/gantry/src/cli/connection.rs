//! Which gateway the client speaks to, and with which token.

use super::context::Contexts;
use super::{Global, Trouble};
use service::config::{DATA_DIR, DEFAULT_DATA_DIR, Environment, QUEUE_DB_PATH, SecretString};
use std::path::{Path, PathBuf};

/// The gateway when nobody names one.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// The variable that names the gateway.
pub(crate) const URL_VARIABLE: &str = "GANTRY_URL";
/// Another variable that names it.
pub(crate) const URL_ALIAS: &str = "GATEWAY_URL";
/// The variable with the token; where the gateway takes several, the client sends the first.
pub(crate) const TOKEN_VARIABLE: &str = "GANTRY_TOKEN";
/// Other variables that hold tokens of the gateway.
pub(crate) const TOKEN_ALIASES: [&str; 3] =
    ["GATEWAY_API_TOKEN", "ABSTRACTGATEWAY_AUTH_TOKEN", "ABSTRACTGATEWAY_AUTH_TOKENS"];
/// Where in the data directory `gantry up` keeps the token that it made.
pub(crate) const TOKEN_FILE: &str = "auth/token";

/// A gateway, a token, and where each was found.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The gateway.
    pub url: String,
    /// Where the URL was found.
    pub url_source: String,
    /// The token, if one was found.
    pub token: Option<SecretString>,
    /// Where the token was found, or where it was looked for.
    pub token_source: String,
}

impl Connection {
    /// Flags over environment over context over what `gantry up` wrote.
    pub fn discover(global: &Global, environment: &Environment) -> Result<Self, Trouble> {
        let context = Contexts::load(environment)?.choose(global.context.as_deref(), environment)?;
        let (name, url, token) = context.map_or((None, None, None), |(name, context)| {
            (Some(format!("context {name}")), Some(context.url), context.token)
        });
        let from_context = name.clone().unwrap_or_default();
        let (url, url_source) = [
            (global.url.clone(), "--url".to_owned()),
            (environment.get(URL_VARIABLE).map(str::to_owned), URL_VARIABLE.to_owned()),
            (environment.get(URL_ALIAS).map(str::to_owned), URL_ALIAS.to_owned()),
            (url, from_context.clone()),
        ]
        .into_iter()
        .find_map(|(url, source)| Some((url?, source)))
        .unwrap_or((DEFAULT_URL.to_owned(), "default".to_owned()));
        let found =
            [(global.token.clone(), "--token".to_owned()), from_environment(environment), (token, from_context)]
                .into_iter()
                .find_map(|(token, source)| Some((token?, source)));
        let (token, token_source) = match found {
            Some((token, source)) => (Some(token), source),
            None => from_file(&url, &data_dir(global, environment)),
        };
        Ok(Self { url, url_source, token: token.map(SecretString::from), token_source })
    }
}

/// The data directory of a gateway on this machine.
pub(crate) fn data_dir(global: &Global, environment: &Environment) -> PathBuf {
    let variables = [DATA_DIR, "ABSTRACTGATEWAY_DATA_DIR", "ABSTRACTFLOW_GATEWAY_DATA_DIR", "ABSTRACTFLOW_RUNTIME_DIR"];
    let of_queue = || environment.get(QUEUE_DB_PATH).and_then(|path| Path::new(path).parent()).map(Path::to_owned);
    let named = variables.iter().find_map(|name| environment.get(name)).map(PathBuf::from).or_else(of_queue);
    global.data_dir.clone().or(named).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR))
}

fn from_environment(environment: &Environment) -> (Option<String>, String) {
    std::iter::once(TOKEN_VARIABLE)
        .chain(TOKEN_ALIASES)
        .find_map(|name| {
            let first = environment.get(name)?.split(',').map(str::trim).find(|token| !token.is_empty())?;
            Some((Some(first.to_owned()), name.to_owned()))
        })
        .unwrap_or_default()
}

/// The token that a gateway on this machine made. It is never sent to another machine.
fn from_file(url: &str, data_dir: &Path) -> (Option<String>, String) {
    let file = data_dir.join(TOKEN_FILE);
    let source = file.display().to_string();
    if !is_this_machine(url) {
        return (None, format!("no token is known for {url}"));
    }
    match std::fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => (Some(text.trim().to_owned()), source),
        Ok(_) | Err(_) => (None, format!("{source} (not there)")),
    }
}

fn is_this_machine(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::ExposeSecret;

    fn discover(global: &Global, pairs: &[(&str, &str)]) -> (String, Option<String>, String) {
        let found = Connection::discover(global, &Environment::from_pairs(pairs.iter().copied())).unwrap();
        (found.url, found.token.map(|token| token.expose_secret().to_owned()), found.token_source)
    }

    #[test]
    fn a_token_is_taken_from_the_flag_then_the_environment_then_the_context_then_the_file() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        std::fs::create_dir_all(dir.join("auth")).unwrap();
        std::fs::write(dir.join(TOKEN_FILE), "from-file\n").unwrap();
        let (config, dir) = (home.path().to_str().unwrap(), dir.to_str().unwrap());
        let mut global = Global::default();
        let bare = [("XDG_CONFIG_HOME", config), (DATA_DIR, dir)];
        assert_eq!(discover(&global, &bare).1.as_deref(), Some("from-file"));

        let environment = Environment::from_pairs(bare);
        let mut contexts = Contexts::load(&environment).unwrap();
        contexts.add("lab", "http://127.0.0.1:1", Some("from-context".to_owned()), true);
        contexts.save(&environment).unwrap();
        let found = discover(&global, &bare);
        assert_eq!((found.0.as_str(), found.1.as_deref()), ("http://127.0.0.1:1", Some("from-context")));

        let with_variable = [("GATEWAY_API_TOKEN", "from-env,other"), bare[0], bare[1]];
        assert_eq!(discover(&global, &with_variable).1.as_deref(), Some("from-env"));
        let peer = discover(&global, &[("GATEWAY_URL", "http://127.0.0.1:2"), bare[0], bare[1]]);
        assert_eq!(peer.0, "http://127.0.0.1:2", "the variable of other clients is honoured too");
        global.token = Some("from-flag".to_owned());
        assert_eq!(discover(&global, &with_variable).1.as_deref(), Some("from-flag"));
    }

    #[test]
    fn the_token_of_this_machine_is_not_sent_to_another() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("auth")).unwrap();
        std::fs::write(home.path().join(TOKEN_FILE), "secret").unwrap();
        let dir = home.path().to_str().unwrap();
        let global = Global { url: Some("http://gateway.example:8080".to_owned()), ..Global::default() };
        assert_eq!(discover(&global, &[(DATA_DIR, dir), ("XDG_CONFIG_HOME", dir)]).1, None);
    }
}
