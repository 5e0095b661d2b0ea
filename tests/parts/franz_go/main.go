// Command franz_go sends what stands on standard input, as tests/support/foreign_producers.py writes it.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

type part struct {
	client *kgo.Client
	ending string
}

func main() {
	bootstrap, topic := os.Args[1], os.Args[2]
	clients := map[string]*kgo.Client{}
	var current *part
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] == "part" {
			finish(current)
			current = begin(clients, bootstrap, topic, words[1], words[2])
			continue
		}
		record := &kgo.Record{Topic: topic, Key: decoded(words[1]), Value: decoded(words[2])}
		current.client.Produce(context.Background(), record, func(_ *kgo.Record, err error) { must(err) })
	}
	must(lines.Err())
	finish(current)
	for _, client := range clients {
		client.Close()
	}
}

func begin(clients map[string]*kgo.Client, bootstrap, topic, codec, ending string) *part {
	name := fmt.Sprintf("%s-franz-go-%s-%t", topic, codec, ending != "plain")
	client, known := clients[name]
	if !known {
		options := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(codecs[codec])}
		if ending != "plain" {
			options = append(options, kgo.TransactionalID(name))
		}
		made, err := kgo.NewClient(options...)
		must(err)
		client, clients[name] = made, made
	}
	if ending != "plain" {
		must(client.BeginTransaction())
	}
	return &part{client, ending}
}

func finish(one *part) {
	if one == nil {
		return
	}
	must(one.client.Flush(context.Background()))
	if one.ending != "plain" {
		must(one.client.EndTransaction(context.Background(), kgo.TransactionEndTry(one.ending == "commit")))
	}
}

func decoded(text string) []byte {
	found, err := base64.StdEncoding.DecodeString(text)
	must(err)
	return found
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
