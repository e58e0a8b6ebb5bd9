// Package ddcredential gets Datadog access tokens from the program that DD_CREDENTIAL_HELPER names.
//
// One file with nothing but the standard library, for Go 1.19 or later. It implements the contract
// for callers in dd-oauth's protocol.md.
//
//	client := ddcredential.Client{}
//	response, err := client.Call(func(credential ddcredential.Credential) (*http.Response, error) {
//		request, err := http.NewRequest("GET", credential.APIURL+"/api/v2/current_user", nil)
//		if err != nil {
//			return nil, err
//		}
//		request.Header.Set("Authorization", "Bearer "+credential.AccessToken)
//		return http.DefaultClient.Do(request)
//	})
package ddcredential

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Why no token can be had. An error that is none of these would come again with the same call.
var (
	// ErrHelperMissing says that there is no helper: not named, not found, or not to be started.
	ErrHelperMissing = errors.New("no credential helper")
	// ErrLoginRequired says that a person has to log in first. The helper's standard error named
	// the command.
	ErrLoginRequired = errors.New("login required")
	// ErrTemporary says that it may be tried again, with growing pauses.
	ErrTemporary = errors.New("temporary failure")
)

// Says nothing of what stands in the answer: it may be a token.
var errAnswer = errors.New("the answer of the credential helper is not one of its protocol")

// Longest answer that is read, in bytes: several times what the longest token takes.
const answerLimit = 64 * 1024

var rules = map[string]*regexp.Regexp{
	"access_token": regexp.MustCompile(`^[!-~]+$`),
	"token_type":   regexp.MustCompile(`^Bearer$`),
	"site":         regexp.MustCompile(`^.+$`),
	// The token is sent there: in the clear to this machine alone.
	"api_url": regexp.MustCompile(`^(https://|http://127\.0\.0\.1:).+$`),
}

var number = regexp.MustCompile(`^[1-9][0-9]{0,14}$`)

var name = regexp.MustCompile(`^[a-z_]+$`)

// Credential is an answer of the helper. The token is meant for the origin of APIURL alone.
type Credential struct {
	AccessToken string
	// Zero where nobody knows it.
	ExpiresAt time.Time
	Site      string
	APIURL    string
	// Empty where the session has none.
	Org string
}

// String leaves the token out, which Format would show.
func (c Credential) String() string {
	return fmt.Sprintf("credential for %s until %s", c.Site, c.ExpiresAt)
}

// GoString leaves the token out too.
func (c Credential) GoString() string { return c.String() }

// Client gets the tokens of one site and organization, for any number of goroutines. Its zero value
// leaves all to the helper.
type Client struct {
	Site, Org string
	// NobodyThere says that nobody can log in.
	NobodyThere bool
	// Margin before its expiry at which a token is asked for again; 60 s where it is 0.
	Margin time.Duration
	// Deadline of the helper, which may only be longer than its own; its own where it is 0.
	Deadline time.Duration

	lock sync.Mutex
	kept *Credential
}

// Call lets send make a request; after a 401, once more with another token, where there is one.
func (c *Client) Call(send func(Credential) (*http.Response, error)) (*http.Response, error) {
	credential, err := c.Get()
	if err != nil {
		return nil, err
	}
	response, err := send(credential)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	another, found, err := c.Renew(credential)
	if err == nil && !found {
		return response, nil
	}
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	return send(another)
}

// Get gives a credential that is good now.
func (c *Client) Get() (Credential, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.get()
}

// Renew gives another credential after the API answered 401 to this one; false where the helper has
// no other, so that the 401 stands.
func (c *Client) Renew(rejected Credential) (Credential, bool, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	// Another goroutine may have been here with the same token.
	if c.kept == nil || c.kept.AccessToken == rejected.AccessToken {
		c.kept = nil
		lines := named([]string{"erase"}, rejected.Site, rejected.Org)
		if _, err := c.ask(append(lines, "access_token="+rejected.AccessToken)); err != nil {
			return Credential{}, false, err
		}
	}
	credential, err := c.get()
	return credential, err == nil && credential.AccessToken != rejected.AccessToken, err
}

func (c *Client) get() (Credential, error) {
	margin := c.Margin
	if margin == 0 {
		margin = time.Minute
	}
	if c.kept != nil && time.Now().Before(c.kept.ExpiresAt.Add(-margin)) {
		return *c.kept, nil
	}
	c.kept = nil
	answer, err := c.ask(named([]string{"get"}, c.Site, c.Org))
	if err != nil {
		return Credential{}, err
	}
	credential, err := parse(string(answer))
	if err != nil {
		return Credential{}, err
	}
	c.kept = &credential
	return credential, nil
}

func named(lines []string, site, org string) []string {
	if site != "" {
		lines = append(lines, "site="+site)
	}
	if org != "" {
		lines = append(lines, "org="+org)
	}
	return lines
}

// AtMost is how long the helper may take.
func (c *Client) AtMost() time.Duration {
	switch {
	case c.Deadline != 0:
		return c.Deadline
	case c.NobodyThere:
		return 90 * time.Second
	default:
		return 7 * time.Minute
	}
}

// Runs the helper with a request, and gives what it wrote.
func (c *Client) ask(lines []string) ([]byte, error) {
	for _, line := range lines {
		if strings.IndexFunc(line, unicode.IsControl) >= 0 {
			return nil, errors.New("site and org must have no control characters")
		}
	}
	words, err := command()
	if err != nil {
		return nil, err
	}
	// It stays in our process group: only in the foreground it asks for a login.
	helper := exec.Cmd{Path: words[0], Args: words, Stderr: os.Stderr}
	if c.NobodyThere {
		helper.Env = append(os.Environ(), "DD_OAUTH_INTERACTIVE=never")
	}
	stdin, err := helper.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := helper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := helper.Start(); err != nil {
		return nil, fmt.Errorf("%w: cannot start it: %v", ErrHelperMissing, err)
	}
	var answer []byte
	ended := make(chan error, 1)
	go func() {
		// A helper that fails at once reads nothing.
		_, _ = io.WriteString(stdin, strings.Join(lines, "\n")+"\n")
		stdin.Close()
		answer, _ = io.ReadAll(io.LimitReader(stdout, answerLimit+1))
		if len(answer) > answerLimit {
			_ = helper.Process.Kill()
		}
		ended <- helper.Wait()
	}()
	deadline := time.NewTimer(c.AtMost())
	defer deadline.Stop()
	select {
	case err = <-ended:
	case <-deadline.C:
		_ = helper.Process.Kill()
		// Another process may hold the pipes for longer than the helper lives.
		stdin.Close()
		stdout.Close()
		return nil, fmt.Errorf("%w: %s did not end within %s", ErrTemporary, words[0], c.AtMost())
	}
	if len(answer) > answerLimit {
		return nil, errAnswer
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return answer, nil
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		return nil, ErrLoginRequired
	case errors.As(err, &exit) && exit.ExitCode() == 4:
		return nil, fmt.Errorf("%w of %s", ErrTemporary, words[0])
	default:
		return nil, fmt.Errorf("%s failed: %w", words[0], err)
	}
}

// The helper and its arguments: words between blanks, with no shell and no quoting.
func command() ([]string, error) {
	blank := func(c rune) bool { return c == ' ' || c == '\t' }
	words := strings.FieldsFunc(os.Getenv("DD_CREDENTIAL_HELPER"), blank)
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: DD_CREDENTIAL_HELPER is not set", ErrHelperMissing)
	}
	if filepath.IsAbs(words[0]) {
		return words, nil
	}
	if filepath.Base(words[0]) == words[0] {
		for _, directory := range filepath.SplitList(os.Getenv("PATH")) {
			// Nothing is run from the working directory, which may be anybody's.
			if !filepath.IsAbs(directory) {
				continue
			}
			program := filepath.Join(directory, words[0])
			if runtime.GOOS == "windows" && !strings.EqualFold(filepath.Ext(program), ".exe") {
				program += ".exe"
			}
			file, err := os.Stat(program)
			executable := err == nil && file.Mode().IsRegular() &&
				(runtime.GOOS == "windows" || file.Mode()&0o111 != 0)
			if executable {
				words[0] = program
				return words, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: %s is neither an absolute path nor in PATH", ErrHelperMissing, words[0])
}

func parse(answer string) (Credential, error) {
	lines := strings.Split(answer, "\n")
	last := len(lines) - 1
	if !utf8.ValidString(answer) || lines[last] != "" {
		return Credential{}, errAnswer
	}
	control := func(c rune) bool { return unicode.IsControl(c) && c != '\t' }
	values := map[string]string{}
	for _, line := range lines[:last] {
		key, value, found := strings.Cut(line, "=")
		_, twice := values[key]
		if !found || twice || !name.MatchString(key) || strings.IndexFunc(value, control) >= 0 {
			return Credential{}, errAnswer
		}
		values[key] = value
	}
	for key, rule := range rules {
		if !rule.MatchString(values[key]) {
			return Credential{}, errAnswer
		}
	}
	if len(values["access_token"]) > 16384 {
		return Credential{}, errAnswer
	}
	var expires time.Time
	if text, found := values["expires_at"]; found {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !number.MatchString(text) {
			return Credential{}, errAnswer
		}
		expires = time.Unix(seconds, 0)
	}
	return Credential{
		AccessToken: values["access_token"],
		ExpiresAt:   expires,
		Site:        values["site"],
		APIURL:      values["api_url"],
		Org:         values["org"],
	}, nil
}
