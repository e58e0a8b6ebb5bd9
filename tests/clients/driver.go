// Does with the client what each line of standard input says: driver [OPTION=VALUE]...
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	ddcredential "driver/client"
)

func main() {
	client := &ddcredential.Client{}
	for _, option := range os.Args[1:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "site":
			client.Site = value
		case "org":
			client.Org = value
		case "interactive":
			client.NobodyThere = value == "no"
		case "margin":
			client.Margin = seconds(value)
		case "deadline":
			client.Deadline = seconds(value)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, count, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "get":
			tell(client.Get())
		case "together":
			together(count, func() { tell(client.Get()) })
		case "renew":
			rejected, err := client.Get()
			if err != nil {
				panic(err)
			}
			together(count, func() {
				credential, found, err := client.Renew(rejected)
				if err == nil && !found {
					fmt.Println("same")
				} else {
					tell(credential, err)
				}
			})
		case "call":
			response, err := client.Call(func(c ddcredential.Credential) (*http.Response, error) {
				fmt.Printf("send\t%s\n", c.AccessToken)
				lines.Scan()
				status, err := strconv.Atoi(lines.Text())
				body := io.NopCloser(strings.NewReader(""))
				return &http.Response{StatusCode: status, Body: body}, err
			})
			if err == nil {
				fmt.Printf("status\t%d\n", response.StatusCode)
			} else {
				tell(ddcredential.Credential{}, err)
			}
		case "deadline":
			fmt.Printf("deadline\t%g\n", client.AtMost().Seconds())
		}
	}
}

func seconds(text string) time.Duration {
	number, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return time.Duration(number) * time.Second
}

func together(count string, work func()) {
	number, err := strconv.Atoi(count)
	if err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for ; number > 0; number-- {
		all.Add(1)
		go func() {
			defer all.Done()
			work()
		}()
	}
	all.Wait()
}

func tell(c ddcredential.Credential, err error) {
	switch {
	case err == nil:
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if strings.Contains(fmt.Sprintf(verb, c), c.AccessToken) {
				panic("a credential shows its token")
			}
		}
		expires := ""
		if !c.ExpiresAt.IsZero() {
			expires = strconv.FormatInt(c.ExpiresAt.Unix(), 10)
		}
		fmt.Printf("credential\t%s\t%s\t%s\t%s\t%s\n", c.AccessToken, expires, c.Site, c.APIURL, c.Org)
	case errors.Is(err, ddcredential.ErrHelperMissing):
		fmt.Println("error\tmissing")
	case errors.Is(err, ddcredential.ErrLoginRequired):
		fmt.Println("error\tlogin")
	case errors.Is(err, ddcredential.ErrTemporary):
		fmt.Println("error\ttemporary")
	default:
		fmt.Println("error\tfailed")
	}
}
