// The official evaluation core as a line-oriented program.
//
// Reads one evaluation document per line from standard input and writes the
// official answer, one JSON document per line, to standard output. A panic in
// the core answers GENERAL, as the relay proxy does per request.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/thomaspoignant/go-feature-flag/modules/core/evaluation"
	"github.com/thomaspoignant/go-feature-flag/modules/core/flag"
	"github.com/thomaspoignant/go-feature-flag/modules/core/model"
	"github.com/thomaspoignant/go-feature-flag/modules/core/utils"
)

type document struct {
	FlagKey     string            `json:"flagKey"`
	Flag        flag.InternalFlag `json:"flag"`
	EvalContext map[string]any    `json:"evalContext"`
	FlagContext flag.Context      `json:"flagContext"`
}

func rejected(code, details string) model.VariationResult[any] {
	return model.VariationResult[any]{ErrorCode: code, ErrorDetails: details}
}

func answer(line []byte) (result model.VariationResult[any]) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = rejected("GENERAL", fmt.Sprint(panicked))
		}
	}()
	var input document
	if err := json.Unmarshal(line, &input); err != nil {
		return rejected("PARSE_ERROR", err.Error())
	}
	targetingKey, _ := input.EvalContext["targetingKey"].(string)
	context := utils.ConvertEvaluationCtxFromRequest(targetingKey, input.EvalContext)
	result, err := evaluation.Evaluate[any](
		&input.Flag, input.FlagKey, context, input.FlagContext, "interface{}", input.FlagContext.DefaultSdkValue)
	if err != nil {
		return rejected("GENERAL", err.Error())
	}
	return result
}

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(127)})))
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	writer := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(writer)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if failure := encoder.Encode(answer(line)); failure != nil {
				_ = encoder.Encode(rejected("UNENCODABLE", failure.Error()))
			}
			// An interactive caller waits for this line; a batch keeps the buffer full.
			if reader.Buffered() == 0 {
				_ = writer.Flush()
			}
		}
		if err != nil {
			_ = writer.Flush()
			return
		}
	}
}
