package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the man pages, for packages", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := os.MkdirAll(args[0], 0o755)
			if err == nil {
				err = writeManPages(cmd.Root(), args[0])
			}
			if err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			return nil
		},
	}
}

// writeManPages writes the man pages of a command and its subcommands.
func writeManPages(cmd *cobra.Command, folder string) error {
	if err := os.WriteFile(filepath.Join(folder, manName(cmd)+".1"), []byte(manPage(cmd)), 0o644); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			if err := writeManPages(c, folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// manName returns the name of a command's page, such as "pushwatch-task-add".
func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns the page of a command, with the macros of man(7). It replaces cobra's doc
// package, which would add a Markdown and a YAML parser to the binary.
func manPage(cmd *cobra.Command) string {
	var page strings.Builder
	section := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(&page, ".SH %s\n%s\n", title, text)
		}
	}
	release, _ := build()
	fmt.Fprintf(&page, ".TH \"%s\" \"1\" \"\" \"pushwatch %s\" \"\"\n", roff(strings.ToUpper(manName(cmd))), roff(release))
	section("NAME", roff(manName(cmd))+` \- `+roff(cmd.Short))
	section("SYNOPSIS", `\fB`+roff(cmd.CommandPath())+`\fP`+roff(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())))
	section("DESCRIPTION", prose(cmp.Or(cmd.Long, cmd.Short)))
	section("OPTIONS", verbatim(cmd.NonInheritedFlags().FlagUsages()))
	section("INHERITED OPTIONS", verbatim(cmd.InheritedFlags().FlagUsages()))
	section("EXAMPLE", verbatim(cmd.Example))
	var others []string
	if parent := cmd.Parent(); parent != nil {
		others = append(others, `\fB`+roff(manName(parent))+`\fP(1)`)
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			others = append(others, `\fB`+roff(manName(c))+`\fP(1)`)
		}
	}
	section("SEE ALSO", strings.Join(others, ", "))
	return page.String()
}

// prose formats a text in filled paragraphs, except those with columns or indents.
func prose(text string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.Contains("\n"+paragraph, "\n ") || strings.Contains(paragraph, "   ") {
			paragraphs = append(paragraphs, verbatim(paragraph))
		} else {
			paragraphs = append(paragraphs, roff(paragraph))
		}
	}
	return strings.Join(paragraphs, "\n.PP\n")
}

// verbatim formats a text with its line breaks.
func verbatim(text string) string {
	if strings.Trim(text, "\n") == "" {
		return ""
	}
	return ".nf\n" + roff(strings.Trim(text, "\n")) + "\n.fi"
}

// roff escapes a text, so that no line is a request and hyphens can be copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
