package chat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"
)

// telegramAPI is the address of Telegram's bots.
const telegramAPI = "https://api.telegram.org"

// A telegramService is the library's service with a Send of its own. The
// library's takes a failure for a success wherever Telegram itself did not
// answer, be it that it could not be reached at all. Title and parsemode of the
// URL have no effect: the texts are plain.
type telegramService struct {
	telegram.Service
	api string
}

// Send writes to each chat in turn, and stops at the first failure. The method
// is https://core.telegram.org/bots/api#sendmessage.
func (s *telegramService) Send(message string, _ *types.Params) error {
	config := s.GetConfig()
	for _, chat := range config.Chats {
		payload := telegram.SendMessagePayload{
			Text: message, DisableNotification: !config.Notification, DisablePreview: !config.Preview,
		}
		var thread string
		payload.ID, thread, _ = strings.Cut(chat, ":")
		if id, err := strconv.Atoi(thread); err == nil {
			payload.MessageThreadID = &id
		}
		var answer struct {
			OK bool `json:"ok"`
		}
		if err := jsonclient.Post(s.api+"/bot"+config.Token+"/sendMessage", payload, &answer); err != nil {
			return fmt.Errorf("write to chat %s: %w", payload.ID, err)
		}
		if !answer.OK {
			return errors.New("telegram did not take the message")
		}
	}
	return nil
}
